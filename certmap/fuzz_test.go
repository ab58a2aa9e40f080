package certmap_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/trust"
)

func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		"", "mappings: []", "mappings: [{id: a, user: b, serial: 1000, issuer: ca.pem, ports: [p]}]",
		"mappings:\n- &a {id: a, user: '{user}', uri: 'spiffe://a/{user}', issuer: x, not_before: 2026-01-01}\n- *a\n",
		"mappings: &m [*m]", "a: &a [*a]\nmappings: *a", "mappings: [{<<: {id: a}}]", "mappings: []\n---\n", "\xff\xfe",
		"mappings: [{id: a, user: b, subject: 'CN=x', issuer: " + digest1 + ", disabled: true}]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		mappings, err := load("users.yaml", string(data), issuerKey(trust.Digest{1}), certmap.WithPorts("p"))
		if err != nil {
			if mappings != nil {
				t.Error("mappings with an error")
			}
			return
		}
		// New accepts the mappings that Load accepts.
		again, err := certmap.New(mappings...)
		if err != nil || len(again.Mappings()) != len(mappings) {
			t.Errorf("%q: loaded, and rejected by New: %v", data, err)
		}
	})
}

// A URI that New accepts has only one reading.
func FuzzURI(f *testing.F) {
	for _, uri := range []string{"spiffe://acme/ns/{user}", "https://a:1/b?c", "urn:a:b", "spiffe://A/..", "x:%2e"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if _, err := certmap.New(certmap.Mapping{ID: "a", User: "x", URI: uri, Issuer: trust.Digest{1}}); err != nil {
			return
		}
		lower := strings.ToLower(uri)
		for _, bad := range []string{"/../", "/./", "%2e", "%2f", "%5c", "%00", "\\", "#", "\x00", " "} {
			if strings.Contains(lower+"/", bad) && !strings.Contains(uri, "?") {
				t.Errorf("%q holds %q", uri, bad)
			}
		}
	})
}
