package main

import (
	"bytes"
	"crypto/x509"
	"net/url"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// explain does not advise to trust an authority that forged the identity of another trust domain.
// The list of users, and lint, name a trust domain as such.
func TestCommandKnowsTrustDomains(t *testing.T) {
	dir := t.TempDir()
	if err := writeSite(dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	acme, partner := testpki.NewCA("acme.example"), testpki.NewCA("partner.example")
	orders := func(c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "acme.example", Path: "/orders"}}
	}
	put(t, "acme.pem", string(acme.CertPEM()))
	put(t, "partner.pem", string(partner.CertPEM()))
	put(t, "own.pem", string(acme.Leaf("orders", orders).CertPEM()))
	put(t, "forged.pem", string(partner.Leaf("orders", orders).CertPEM()))
	text := read(t, "mtlsguard.yaml")
	text = strings.Replace(text, "trust: {anchors: [client-ca.pem]}", `trust: {anchors: [client-ca.pem], trust_domains: [{name: acme.example, anchors: [acme.pem]}, {name: partner.example, anchors: [partner.pem]}]}`, 1)
	put(t, "mtlsguard.yaml", text)
	put(t, "users.yaml", read(t, "users.yaml")+`  - {id: workload, user: workload, uri: "spiffe://acme.example/orders", issuer: "spiffe://acme.example"}
  - {id: nowhere, user: nowhere, uri: "spiffe://other.example/orders", issuer: "spiffe://other.example"}
`)
	x := explainRequest(t, strings.Fields("--cert forged.pem --port internal GET /whoami"))
	if x.Reason != "unknown-authority" || len(x.Hints) != 1 || !strings.Contains(x.Hints[0].Text, `a SPIFFE ID of "acme.example"`) {
		t.Errorf("got %s: %+v, want unknown-authority with the SPIFFE ID", x.Reason, x.Hints)
	}
	if x = explainRequest(t, strings.Fields("--cert own.pem --port internal GET /whoami")); x.Reason == "unknown-authority" || x.Reason == "unmapped" {
		t.Errorf("got %s %s, want a mapped certificate", x.Reason, x.Detail)
	}
	output := func(arguments string) string {
		var out, errs bytes.Buffer
		run(t.Context(), strings.Fields(arguments), strings.NewReader(""), &out, &errs)
		return out.String() + errs.String()
	}
	if got := output("users list --json --config mtlsguard.yaml"); !strings.Contains(got, `"issuer": "spiffe://acme.example"`) && !strings.Contains(got, `"issuer":"spiffe://acme.example"`) {
		t.Error(got)
	}
	// A program provides the certificate: the command has none, and needs none.
	put(t, "mtlsguard.yaml", strings.Replace(read(t, "mtlsguard.yaml"), "    certificate: {cert: server.pem, key: server-key.pem}\n", "", 1))
	if got := output("who --config mtlsguard.yaml --port internal GET /whoami"); !strings.Contains(got, "spiffe://acme.example") || !strings.Contains(got, "workload") || strings.Contains(got, "spiffe://other.example") {
		t.Error(got)
	}
	if x = explainRequest(t, strings.Fields("--cert own.pem --port internal GET /whoami")); x.Reason == "unknown-authority" {
		t.Errorf("got %s %s, want a trusted certificate", x.Reason, x.Detail)
	}
	got := output("lint --config mtlsguard.yaml")
	if !strings.Contains(got, "Options.Certificates provides the certificate of port internal") {
		t.Error(got)
	}
	if !strings.Contains(got, `mapping "nowhere" never matches: no port has the trust domain "other.example"`) || strings.Contains(got, `mapping "workload" never matches`) {
		t.Error(got)
	}
}
