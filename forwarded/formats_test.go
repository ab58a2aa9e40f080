package forwarded_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestEveryFormatIsTested(t *testing.T) {
	t.Parallel()
	if got, want := slices.Sorted(maps.Keys(products)), slices.Sorted(slices.Values(forwarded.Formats())); !slices.Equal(got, want) {
		t.Errorf("tested formats: %v; all formats: %v", got, want)
	}
}

// The headers of each product are read, with the chain. Without a certificate they are read as
// "no certificate".
func TestEveryFormatIsRead(t *testing.T) {
	t.Parallel()
	w := shared()
	for name, p := range products {
		r := receiver(t, p.topology())
		var want []string
		for _, h := range p.headers {
			want = append(want, http.CanonicalHeaderKey(h))
		}
		if got := r.Headers(); !slices.Equal(got, want) {
			t.Errorf("%s reads %v, want %v", name, got, want)
		}
		for _, pair := range []*testpki.Pair{w.alice, w.bob, w.carol, w.dave, w.other, w.alice} {
			cn := pair.Cert.Subject.CommonName
			switch {
			case pair == w.other:
				cn = "unknown-authority"
			case len(pair.Chain) > 0 && !p.sendsIssuers:
				cn = "unknown-authority" // this gateway forwards no issuers
			}
			h := p.encode(pair.Presented())
			before := h.Clone()
			if got := verifyHeaders(t, r, h); got != cn {
				t.Errorf("%s forwards %s: %s, want %s", name, pair.Cert.Subject.CommonName, got, cn)
			}
			if !maps.EqualFunc(h, before, slices.Equal) {
				t.Errorf("%s: the headers are changed", name)
			}
		}
		if got := verifyHeaders(t, r, p.noCert); got != "no-certificate" {
			t.Errorf("%s without a certificate: %s, want no-certificate", name, got)
		}
	}
}

// If a gateway forwards no issuers, they can be anchors of the users.
func TestAnchorsReplaceIssuersThatAGatewayOmits(t *testing.T) {
	t.Parallel()
	w := shared()
	for name, p := range products {
		r := receiver(t, p.topology(), func(c *forwarded.Config) {
			c.Users = verifier(trust.Config{Anchors: certs{w.ca.Cert, w.carol.Chain[0]}})
		})
		if got := verifyHeaders(t, r, p.encode(certs{w.carol.Cert})); got != "carol" {
			t.Errorf("%s: %s, want carol", name, got)
		}
	}
}

// Products of one family encode the same certificates in several ways.
func TestOtherEncodingsOfTheSameProductsAreRead(t *testing.T) {
	t.Parallel()
	w := shared()
	chain := w.carol.Presented()
	flat := func(eol string) string {
		return strings.TrimSpace(strings.ReplaceAll(pemOf(chain), "\n", eol))
	}
	for _, x := range []struct{ format, name, value string }{
		{"webmethods", "X-Client-Cert", flat(" ")},
		{"webmethods", "X-Client-Cert", flat("")},
		{"webmethods", "X-Client-Cert", escape(pemOf(chain), "-", "%%%02X")},
		{"webmethods", "X-Client-Cert", escape(pemOf(chain), "-+/=", "%%%02x")},
		{"webmethods", "X-Client-Cert", escape(strings.ReplaceAll(pemOf(chain), "\n", "\r\n"), "-", "%%%02X")},
		{"webmethods", "X-Client-Cert", encode([]byte(strings.ReplaceAll(pemOf(chain), "\n", "\r\n")))},
		{"webmethods", "X-Client-Cert", encode([]byte(strings.TrimSpace(pemOf(chain))))},
		{"aws-alb", "X-Amzn-Mtls-Clientcert", escape(pemOf(append(chain, w.ca.Cert)), "+=/-", "%%%02X")},
		{"nginx", "Ssl-Client-Cert", escape(pemOf(chain), "-", "%%%02X")},
		{"nginx", "CloudFront-Viewer-Cert-Pem", escape(strings.TrimSpace(pemOf(chain)), "-", "%%%02X")},
		{"haproxy", "X-SSL-Client-Cert", encode(joined(chain))},
		{"envoy", "", `Chain="` + escape(pemOf(chain), "-", "%%%02X") + `"`},
		{"envoy", "", `chain=` + escape(pemOf(chain), "-", "%%%02X")},
		{"envoy", "", `HASH=` + strings.ToUpper(trust.FingerprintOf(chain[0]).String()) + `;ChAiN=` + escape(pemOf(chain), "-", "%%%02X") + `;By=;URI=;Subject=""`},
		{"rfc9440", "Client-Cert", sequence(chain[0])}, // its chain follows below
	} {
		topology, err := forwarded.ParseTopology(x.format, x.name, "", "")
		if err != nil {
			t.Fatal(err)
		}
		r := receiver(t, topology)
		h := newHeader(r.Headers()[0], x.value)
		if x.format == "rfc9440" {
			h.Set("Client-Cert-Chain", sequence(chain[1])+"\t,  "+sequence(w.ca.Cert))
		}
		if got := verifyHeaders(t, r, h); got != "carol" {
			t.Errorf("%s, %.40s…: %s, want carol", x.format, x.value, got)
		}
	}
	r := receiver(t, forwarded.WebMethods())
	if got := verifyHeaders(t, r, newHeader("X-Client-Cert", encode(w.alice.Cert.Raw))); got != "alice" {
		t.Errorf("base64 of DER: %s, want alice", got)
	}
}
