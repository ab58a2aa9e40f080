package outbound_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
)

func TestNewCredentialReportsAllErrors(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("CA")
	sub := ca.SubCA("Sub CA")
	good := sub.Leaf("alice")
	for _, row := range []struct {
		name    string
		alias   string
		change  func(*tls.Certificate)
		origins []string
		want    string // "": no error
	}{
		{"good", "partner-a", nil, nil, ""},
		{"good, with origins", "A.b_c@d-9", nil, []string{"https://a.example", "HTTPS://B.example:8443", "https://[::1]:1"}, ""},
		{"any usage", "a", withPair(ca.Leaf("x", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })), nil, ""},
		{"no usage", "a", withPair(ca.Leaf("x", func(c *x509.Certificate) { c.ExtKeyUsage, c.KeyUsage = nil, 0 })), nil, ""},
		{"expired: the call checks it", "a", withPair(ca.Leaf("x", expired)), nil, ""},
		{"no alias", "", nil, nil, "is not an alias"},
		{"a bad alias", "../x", nil, nil, "is not an alias"},
		{"a long alias", strings.Repeat("a", 129), nil, nil, "is not an alias"},
		{"no certificate", "a", func(c *tls.Certificate) { c.Certificate = nil }, nil, "no certificate"},
		{"garbage", "a", func(c *tls.Certificate) { c.Certificate = [][]byte{{1}} }, nil, "cannot be read"},
		{"too many", "a", func(c *tls.Certificate) {
			for range 10 {
				c.Certificate = append(c.Certificate, c.Certificate[0])
			}
		}, nil, "at most 10"},
		{"out of order", "a", func(c *tls.Certificate) { c.Certificate = [][]byte{good.Cert.Raw, ca.Cert.Raw} }, nil, "not the issuer"},
		{"another's key", "a", func(c *tls.Certificate) { c.PrivateKey = testpki.NewKey() }, nil, "not that of the certificate"},
		{"no key", "a", func(c *tls.Certificate) { c.PrivateKey = nil }, nil, "not a crypto.Signer"},
		{"a key of an unknown type", "a", func(c *tls.Certificate) { c.PrivateKey = unknownKey{} }, nil, "cannot be compared"},
		{"for servers", "a", withPair(ca.Server()), nil, "not for client authentication"},
		{"an unknown extended usage", "a", withPair(ca.Leaf("x", func(c *x509.Certificate) {
			c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3}}
		})), nil, "not for client authentication"},
		{"for encryption", "a", withPair(ca.Leaf("x", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })), nil, "not for signatures"},
		{"dates", "a", withPair(ca.Leaf("x", func(c *x509.Certificate) { c.NotAfter, c.NotBefore = time.Now().Add(-3*time.Hour), time.Now() })), nil, "ends before it begins"},
		{"an http origin", "a", nil, []string{"http://a.example"}, "https only"},
		{"a path", "a", nil, []string{"https://a.example/"}, "a scheme, a host and a port only"},
		{"a query", "a", nil, []string{"https://a.example?"}, "a scheme, a host and a port only"},
		{"a fragment", "a", nil, []string{"https://a.example#"}, "a scheme, a host and a port only"},
		{"a user", "a", nil, []string{"https://u@a.example"}, "a scheme, a host and a port only"},
		{"no host", "a", nil, []string{"https://:1"}, "host is missing"},
		{"an empty port", "a", nil, []string{"https://a.example:"}, "port is missing"},
		{"Unicode", "a", nil, []string{"https://bücher.example"}, "ASCII"},
		{"no URL", "a", nil, []string{"https://a b"}, "not a URL"},
	} {
		c := good.TLS()
		if row.change != nil {
			row.change(&c)
		}
		credential, err := outbound.NewCredential(row.alias, c, row.origins...)
		switch {
		case row.want == "" && (err != nil || credential.Alias() != row.alias || !bytes.Equal(credential.Leaf().Raw, c.Certificate[0])):
			t.Errorf("%s: got %v, want a credential of alias %q", row.name, err, row.alias)
		case row.want != "" && (len(configerror.All(err)) != 1 || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
	}
	_, err := outbound.NewCredential("", tls.Certificate{Certificate: ca.Server().TLS().Certificate, PrivateKey: testpki.NewKey()}, "x", "y")
	if n := len(configerror.All(err)); n != 5 {
		t.Errorf("%d errors: %v", n, err)
	}
}

func withPair(p *testpki.Pair) func(*tls.Certificate) {
	return func(c *tls.Certificate) { *c = p.TLS() }
}

// unknownKey is a signer with a public key of an unknown type.
type unknownKey struct{ crypto.Signer }

func (unknownKey) Public() crypto.PublicKey { return 7 }

// No format verb and no logger prints the key.
func TestCredentialPrintsNoKey(t *testing.T) {
	t.Parallel()
	key := testkit.RSAKey(t, 2048)
	c, err := outbound.NewCredential("alice", clientCA.LeafWithKey("alice", key).TLS())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "credential", c, "value", *c)
	want := "alice sha256:" + c.Fingerprint()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, v := range []any{c, *c} {
			if got := fmt.Sprintf(verb, v); got != want {
				t.Errorf("%s: %s, want %s", verb, got, want)
			}
		}
	}
	for _, secret := range []*big.Int{key.D, key.Primes[0]} {
		if strings.Contains(log.String(), secret.String()) {
			t.Error("the key is in the log")
		}
	}
	if !strings.Contains(log.String(), c.Fingerprint()) {
		t.Error(log.String())
	}
}

// Later changes of the caller's slices do not change the credential.
func TestCredentialIsACopy(t *testing.T) {
	t.Parallel()
	pair := clientCA.Leaf("alice").TLS()
	w, s := newFixture(t), serve(t, nil)
	c, err := outbound.NewCredential("alice", pair)
	if err != nil {
		t.Fatal(err)
	}
	w.put(c)
	clear(pair.Certificate[0])
	wantBody(t, as(t, "alice"), w.client(), s.URL, "alice")
}

func FuzzOrigin(f *testing.F) {
	for _, text := range []string{"https://a.example", "https://[::1]:8443", "https://a:1", "https://u@h", "http://x", "https://h?q", "https://%41", "https://K"} {
		f.Add(text)
	}
	pair := clientCA.Leaf("alice").TLS()
	f.Fuzz(func(t *testing.T, text string) {
		c, err := outbound.NewCredential("alice", pair, text)
		if (c == nil) == (err == nil) || err != nil && len(configerror.All(err)) == 0 {
			t.Errorf("%q: got %v, %v; want a credential or an error", text, c, err)
		}
	})
}

func FuzzCredential(f *testing.F) {
	pair := clientCA.SubCA("Sub CA").Leaf("alice")
	for _, c := range pair.Presented() {
		f.Add("alice", c.Raw, c.Raw)
	}
	f.Add("alice", pair.Cert.Raw, pair.Chain[0].Raw)
	f.Fuzz(func(t *testing.T, alias string, leaf, issuer []byte) {
		c, err := outbound.NewCredential(alias, tls.Certificate{Certificate: [][]byte{leaf, issuer}, PrivateKey: pair.Key})
		if (c == nil) == (err == nil) {
			t.Errorf("got %v, %v; want a credential or an error", c, err)
		}
	})
}
