package main

import (
	"slices"
	"strings"
	"testing"
)

// The name in a hint is one that the configuration may have: without the port that a client
// sends in Host, and no other text of a client.
func TestHintNamesAHostThatTheConfigurationMayHave(t *testing.T) {
	serveLogged(t)
	replace(t, "mtlsguard.yaml", "    trust: {anchors: [client-ca.pem]}=>    server_names: [acme.example]\n    trust: {anchors: [client-ca.pem]}")
	for host, want := range map[string]string{"API.example:8443": "api.example", "api.example": "api.example", "*": "NAME", "a_b.c_d": "NAME"} {
		x := explainRequest(t, []string{"--cert", "alice.pem", "--port", "internal", "--host-name", host, "GET", "/whoami"})
		if !slices.ContainsFunc(x.Hints, func(h hint) bool { return strings.Contains(h.Write, "server_names: [acme.example, "+want+"]") }) {
			t.Errorf("%q: got %s: %+v, want a hint with server_names", host, x.Reason, x.Hints)
		}
	}
}
