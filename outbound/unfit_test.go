package outbound_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/reason"
)

// trusting makes a server require certificates of these authorities.
func trusting(all ...*testpki.Pair) option {
	return func(s *httptest.Server) {
		requires(s)
		s.TLS.ClientCAs = x509.NewCertPool()
		for _, p := range all {
			s.TLS.ClientCAs.AddCert(p.Cert)
		}
	}
}

// The error of a refused call names the certificate, and the authorities that the server
// asked for if the certificate is of none of them.
func TestErrorNamesTheCertificateAndTheAuthoritiesThatDoNotFit(t *testing.T) {
	t.Parallel()
	hostile := testpki.NewCA("x", func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "evil\x1b[2J\u202e" + strings.Repeat("long", 400)}
	})
	var many []*testpki.Pair
	for i := range 8 {
		many = append(many, testpki.NewCA(fmt.Sprintf("Authority %d", i)))
	}
	untrusted := testpki.NewCA("Other CA").Leaf("untrusted", func(c *x509.Certificate) { c.Subject.Organization = []string{"Acme"} })
	for _, row := range []struct {
		name  string
		alias string // "": no certificate
		asks  []*testpki.Pair
		want  []string
		never string
	}{
		{"another authority", "untrusted", []*testpki.Pair{clientCA},
			[]string{`the server refused the certificate of alias "untrusted" (CN=untrusted,O=Acme, issued by CN=Other CA)`, "; it requested certificates of CN=Client CA, and CN=Other CA is none of these"}, "\x1b"},
		{"many", "untrusted", many, []string{"it requested certificates of CN=Authority 0, CN=Authority 1, CN=Authority 2, CN=Authority 3, CN=Authority 4 and 3 more, and CN=Other CA is none"}, "Authority 5"},
		{"hostile names", "untrusted", []*testpki.Pair{hostile}, []string{`it requested certificates of CN=evil\x1b[2J\u202elong`}, "\x1b"},
		{"a listed name with another key", "alice", []*testpki.Pair{testpki.NewCA("Client CA")}, []string{`the certificate of alias "alice" (CN=alice, issued by CN=Client CA)`}, "it asked for"},
		{"no certificate", "", []*testpki.Pair{clientCA}, []string{"the server requires a certificate, and the call was made without one", "; it requested certificates of CN=Client CA"}, "is none of these"},
	} {
		for _, v := range versions {
			t.Run(row.name+"/"+v.name, func(t *testing.T) {
				t.Parallel()
				w := newFixture(t, "alice")
				w.put(w.credential("untrusted", untrusted))
				s := serve(t, nil, append([]option{trusting(row.asks...)}, v.options...)...)
				ctx := outbound.AsNobody(t.Context())
				if row.alias != "" {
					ctx = as(t, row.alias)
				}
				c := &http.Client{Transport: w.transport()}
				for range 2 { // on the same pool
					_, err := get(ctx, c, s.URL)
					refusal, ok := errors.AsType[*reason.Refusal](err)
					if !ok || !errors.Is(err, outbound.ErrServerRefused) {
						t.Fatal(err)
					}
					for _, want := range row.want {
						if !strings.Contains(refusal.Detail, want) {
							t.Errorf("no %q in %q", want, refusal.Detail)
						}
					}
					if strings.Contains(err.Error(), row.never) || len(refusal.Detail) > 2000 || strings.ContainsFunc(refusal.Detail, func(c rune) bool { return !unicode.IsPrint(c) }) {
						t.Errorf("%d bytes: %q", len(refusal.Detail), err)
					}
				}
				for _, h := range w.takeEvents() {
					if unfit := row.alias == "untrusted"; (h.Unacceptable != nil) != unfit || unfit && !strings.Contains(h.Unacceptable.Error(), "CN=Other CA is none of these") {
						t.Errorf("Unacceptable: %v", h.Unacceptable)
					}
				}
			})
		}
	}
}

// The error for an unknown alias names the known ones, at most ten.
func TestErrorForAnUnknownAliasNamesTheKnownOnes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		known []string
		want  string
	}{
		{nil, "the keystore does not know the alias: it is empty"},
		{[]string{"carol", "alice"}, `the keystore does not know the alias: it has "alice", "carol"`},
		{strings.Fields("l k j i h g f e d c b a"), `it has "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" and 2 more`},
	} {
		w := newFixture(t, row.known...)
		_, err := w.keys.Credential("bob")
		if !errors.Is(err, outbound.ErrUnknownAlias) || !bytes.HasSuffix([]byte(err.Error()), []byte(row.want)) {
			t.Errorf("%v, want %s", err, row.want)
		}
		s := serve(t, nil)
		if e := wantError(t, as(t, "bob"), w.client(), s.URL, outbound.ErrUnknownAlias); !strings.HasPrefix(e.Error(), `outbound: as "bob" to `+s.URL+": ") || !strings.HasSuffix(e.Error(), row.want) {
			t.Error(e)
		}
	}
}

// No name of a server reaches an error unescaped or at any length.
func FuzzNamesOfServersAreEscaped(f *testing.F) {
	f.Add(clientCA.Cert.RawSubject)
	f.Add([]byte{0x30, 0x00})
	f.Add([]byte("\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04a\x1b[2"))
	f.Fuzz(func(t *testing.T, der []byte) {
		if got := outbound.NameOf(der); len(got) > 200 || strings.ContainsFunc(got, func(c rune) bool { return !unicode.IsPrint(c) }) {
			t.Errorf("got %q, want at most 200 printable bytes", got)
		}
	})
}
