package forwarded_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Read reads the headers that Write has written.
func TestWrittenHeadersAreRead(t *testing.T) {
	users, gateways := testpki.NewCA("Users"), testpki.NewCA("Gateways")
	alice := users.Leaf("alice")
	verifier := func(ca *testpki.Pair) *trust.Verifier {
		v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	formats := []string{"rfc9440", "nginx", "haproxy", "apache", "caddy", "traefik", "envoy", "aws-alb", "azure-app-service", "google-cloud", "cloudflare", "webmethods"}
	for _, format := range formats {
		for _, verified := range []string{"", "X-Verified"} {
			topology, err := forwarded.ParseTopology(format, "", verified, map[bool]string{true: "yes"}[verified != ""])
			if err != nil {
				continue // the format has no such header
			}
			r, err := forwarded.New(forwarded.Config{Topology: topology, Users: verifier(users), Gateways: forwarded.Gateways{Names: []string{"gateway.example"}, Trust: verifier(gateways)}})
			if err != nil {
				t.Fatal(err)
			}
			h := http.Header{}
			topology.Write(h, []*x509.Certificate{alice.Cert})
			v, err := r.Verify(t.Context(), r.Read(h, nil))
			if err != nil || !v.Leaf().Equal(alice.Cert) {
				t.Errorf("%s, verified %q: read %v, %v of %v", format, verified, v.Leaf(), err, h)
			}
			h = http.Header{}
			topology.Write(h, nil)
			_, err = r.Verify(t.Context(), r.Read(h, nil))
			want := reason.NoCertificate
			if verified != "" && (format == "rfc9440" || format == "cloudflare") {
				want = reason.BadHeader // such a gateway reports nothing, as when a header is dropped on the way
			}
			if refusal, ok := errors.AsType[*reason.Refusal](err); !ok || refusal.Reason != want {
				t.Errorf("%s, verified %q, without a certificate: %v of %v", format, verified, err, h)
			}
		}
	}
}
