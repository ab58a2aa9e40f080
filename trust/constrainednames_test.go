package trust_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
)

var oidEmail = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}

// A constraint on addresses or URIs without a leading dot matches one host; with a leading
// dot it matches the names below (RFC 5280 section 4.2.1.10), permitted and excluded alike.
//
// Covers B22.
func TestConstraintsOnHostsFollowRFC5280(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	const email, uri = 1, 6
	for _, x := range []struct {
		kind             int
		constraint, name string
		inside, readable bool // a name that is not readable is refused by every constraint
	}{
		{uri, "acme.example", "spiffe://acme.example/a", true, true},
		{uri, "acme.example", "spiffe://ACME.example/a", true, true},
		{uri, "Acme.Example", "https://acme.example:8443/a?b#c", true, true},
		{uri, "acme.example", "spiffe://other.acme.example/a", false, true},
		{uri, "acme.example", "spiffe://xacme.example/a", false, true},
		{uri, "acme.example", "spiffe://example/a", false, true},
		{uri, "acme.example", "spiffe://acme.example.evil.example/a", false, true},
		{uri, ".acme.example", "spiffe://acme.example/a", false, true},
		{uri, ".acme.example", "spiffe://other.acme.example/a", true, true},
		{uri, ".acme.example", "spiffe://a.b.acme.example/a", true, true},
		{uri, ".acme.example", "spiffe://xacme.example/a", false, true},
		{uri, "acme.example", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6", false, false},
		{uri, "acme.example", "spiffe:///a", false, false},
		{uri, "acme.example", "file:/acme.example", false, false},
		{uri, "acme.example", "https://192.0.2.1/", false, false},
		{uri, "acme.example", "https://[2001:db8::1]/", false, false},
		{uri, "acme.example", "https://user@acme.example/", false, false},
		{uri, "acme.example", "https://user:x@other.example/", false, false},
		{email, "acme.example", "a@acme.example", true, true},
		{email, "acme.example", "a@ACME.example", true, true},
		{email, "acme.example", "a@other.acme.example", false, true},
		{email, "acme.example", "a@xacme.example", false, true},
		{email, ".acme.example", "a@acme.example", false, true},
		{email, ".acme.example", "a@other.acme.example", true, true},
		{email, "a@acme.example", "a@acme.example", true, true},
		{email, "a@acme.example", "a@Acme.Example", true, true},
		{email, "a@acme.example", "A@acme.example", false, true},
		{email, "a@acme.example", "b@acme.example", false, true},
		{email, "a@acme.example", "a@other.acme.example", false, true},
	} {
		option := func(excluded bool) testpki.Option {
			return func(c *x509.Certificate) {
				to := map[[2]bool]*[]string{
					{true, false}: &c.PermittedEmailAddresses, {true, true}: &c.ExcludedEmailAddresses,
					{false, false}: &c.PermittedURIDomains, {false, true}: &c.ExcludedURIDomains,
				}[[2]bool{x.kind == email, excluded}]
				*to = []string{x.constraint}
			}
		}
		bearing := func(c *x509.Certificate) {
			if x.kind == email {
				c.EmailAddresses = []string{x.name}
				return
			}
			u, err := url.Parse(x.name)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = []*url.URL{u}
		}
		for _, excluded := range []bool{false, true} {
			want := reason.BadCertificate
			if x.readable && x.inside != excluded {
				want = ""
			}
			inSubject := want // crypto/x509 does not check the subject
			if excluded && !strings.HasPrefix(x.constraint, ".") && strings.Contains(x.name, "."+x.constraint) && !strings.Contains(x.name, "evil") {
				want = reason.BadCertificate // crypto/x509 excludes the whole domain, and its rejections are kept
			}
			sub, own := ca.SubCA("Sub", option(excluded)), testpki.NewCA("Own", option(excluded))
			for where, try := range map[string]struct {
				anchor    *testpki.Pair
				presented certs
			}{
				"an intermediate": {ca, sub.Leaf("a", bearing).Presented()},
				"further up":      {ca, sub.SubCA("Below").Leaf("a", bearing).Presented()},
				"the anchor":      {own, own.Leaf("a", bearing).Presented()},
				"in an authority": {ca, sub.SubCA("Below", bearing).Leaf("a").Presented()},
			} {
				_, err := trusting(t, try.anchor.Cert).Verify(context.Background(), try.presented)
				if got := reasonOf(t, err); got != want {
					t.Errorf("%q for %q, excluded %t, in %s: %q (%v), want %q", x.constraint, x.name, excluded, where, got, err, want)
				}
			}
			if x.kind == email { // in the subject too
				subject := func(c *x509.Certificate) {
					c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidEmail, Value: x.name}}
				}
				_, err := trusting(t, own.Cert).Verify(context.Background(), own.Leaf("a", subject).Presented())
				if got := reasonOf(t, err); got != inSubject {
					t.Errorf("%q for %q in the subject, excluded %t: %q (%v), want %q", x.constraint, x.name, excluded, got, err, inSubject)
				}
			}
		}
	}
}

// A constraint with a minimum or a maximum is refused, because Verify cannot apply it.
//
// Covers B22.
func TestConstraintWithADistanceIsRefused(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	for _, distance := range map[string][]byte{"none": nil, "a minimum": {0x80, 1, 1}, "a maximum": {0x81, 1, 5}, "a stray": {5, 0}} {
		subtree := slices.Concat([]byte{0x86, 12}, []byte("acme.example"), distance)
		value := slices.Concat([]byte{0x30, byte(len(subtree) + 4), 0xa0, byte(len(subtree) + 2), 0x30, byte(len(subtree))}, subtree)
		sub := ca.SubCA("Sub", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: value}}
		})
		want := reason.BadCertificate
		if distance == nil {
			want = ""
		}
		expect(t, trusting(t, ca.Cert), sub.Leaf("a").Presented(), want)
	}
}

// FuzzURIConstraint compares with a second implementation of RFC 5280 section 4.2.1.10.
//
// Covers B22.
func FuzzURIConstraint(f *testing.F) {
	for _, s := range [][2]string{{"acme.example", "a.acme.example"}, {".acme.example", "a.acme.example"}, {"acme.example", "acme.example"}, {".a", "1.2.3.4"}} {
		f.Add(s[0], s[1])
	}
	ca := testpki.NewCA("Client CA")
	key := testpki.NewKey()
	f.Fuzz(func(t *testing.T, constraint, host string) {
		u, err := url.Parse("spiffe://" + host + "/a")
		if err != nil || u.Host != host || strings.Trim(strings.ToLower(constraint+host), "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || len(constraint+host) > 200 || constraint == "" {
			t.Skip("not a constraint and a host name of a URI")
		}
		defer func() {
			if recover() != nil {
				t.Skip("crypto/x509 makes no such certificate")
			}
		}()
		leaf := testpki.Make(testpki.Make(ca, key, &x509.Certificate{
			Subject: pkix.Name{CommonName: "Sub"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, PermittedURIDomains: []string{constraint},
		}), key, &x509.Certificate{
			Subject: pkix.Name{CommonName: "a"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, URIs: []*url.URL{u},
		})
		_, err = trusting(t, ca.Cert).Verify(context.Background(), leaf.Presented())
		wanted, got := strings.Split(strings.ToLower(constraint), "."), strings.Split(strings.ToLower(host), ".")
		below := wanted[0] == "" && len(wanted) > 1
		if below {
			wanted = wanted[1:]
		}
		fits := len(got) >= len(wanted) && slices.Equal(got[len(got)-len(wanted):], wanted) && (len(got) > len(wanted)) == below
		if err == nil && !fits {
			t.Errorf("%q is within %q", host, constraint)
		}
	})
}
