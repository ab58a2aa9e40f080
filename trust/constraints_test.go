package trust_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
)

// network parses an IPv4 or IPv6 network into the form of a constraint.
func network(text string) *net.IPNet {
	_, n, err := net.ParseCIDR(text)
	if err != nil {
		panic(err)
	}
	return n
}

// Every kind of name, permitted and excluded, in an intermediate and in an anchor.
// Covers B9.
func TestNameConstraintsAreAppliedByType(t *testing.T) {
	t.Parallel()
	type option = testpki.Option
	dns := func(s ...string) option { return func(c *x509.Certificate) { c.DNSNames = s } }
	email := func(s ...string) option { return func(c *x509.Certificate) { c.EmailAddresses = s } }
	ip := func(s string) option { return func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP(s)} } }
	uri := func(s string) option {
		return func(c *x509.Certificate) {
			u, err := url.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			c.URIs = []*url.URL{u}
		}
	}
	permitted := func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical = true
		c.PermittedDNSDomains = []string{"acme.example"}
		c.PermittedEmailAddresses = []string{"acme.example"}
		c.PermittedURIDomains = []string{"acme.example"}
		c.PermittedIPRanges = []*net.IPNet{network("10.1.0.0/16"), network("2001:db8:1::/48")}
	}
	excluded := func(c *x509.Certificate) {
		c.ExcludedDNSDomains = []string{"acme.example"}
		c.ExcludedEmailAddresses = []string{"acme.example"}
		c.ExcludedURIDomains = []string{"acme.example"}
		c.ExcludedIPRanges = []*net.IPNet{network("10.1.0.0/16"), network("2001:db8:1::/48")}
	}
	rows := []struct {
		name   string
		with   option
		inside bool // within the names of acme.example
	}{
		{"dns", dns("a.acme.example"), true},
		{"dns, another", dns("a.other.example"), false},
		{"dns, a longer label", dns("xacme.example"), false},
		{"email", email("a@acme.example"), true},
		{"email, another", email("a@other.example"), false},
		{"email, a longer label", email("a@xacme.example"), false},
		{"uri", uri("spiffe://acme.example/sa/a"), true},
		{"uri, another", uri("spiffe://other.example/sa/a"), false},
		{"ip", ip("10.1.2.3"), true},
		{"ip, another", ip("10.2.2.3"), false},
		{"ip 6", ip("2001:db8:1::7"), true},
		{"ip 6, another", ip("2001:db8:2::7"), false},
	}
	ca := testpki.NewCA("Client CA")
	for _, kind := range []struct {
		name       string
		constraint option
		permits    bool
	}{{"permitted", permitted, true}, {"excluded", excluded, false}} {
		sub := ca.SubCA("Sub", kind.constraint)
		own := testpki.NewCA("Constrained CA", kind.constraint)
		for _, row := range rows {
			t.Run(kind.name+"/"+row.name, func(t *testing.T) {
				want := reason.BadCertificate
				if row.inside == kind.permits {
					want = ""
				}
				expect(t, trusting(t, ca.Cert), sub.Leaf("alice", row.with).Presented(), want)
				expect(t, trusting(t, own.Cert), own.Leaf("alice", row.with).Presented(), want)
				// A constraint applies to every certificate below, not only to the next one.
				expect(t, trusting(t, ca.Cert), sub.SubCA("Below").Leaf("alice", row.with).Presented(), want)
			})
		}
		// One name outside is enough, whatever the other names are.
		both := sub.Leaf("alice", dns("a.acme.example", "a.other.example"))
		expect(t, trusting(t, ca.Cert), both.Presented(), reason.BadCertificate)
	}
}

// constraint returns a name constraints extension with one directory name, a kind that
// crypto/x509 does not apply.
func constraint(t testing.TB, critical bool) testpki.Option {
	name := marshal(t, pkix.Name{Organization: []string{"Acme"}}.ToRDNSequence())
	subtree := asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: marshal(t, asn1.RawValue{
		Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: name,
	})}
	value := marshal(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: marshal(t, asn1.RawValue{
		Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: marshal(t, subtree),
	})})
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: critical, Value: value})
	}
}

// Covers B9.
func TestDirectoryNameConstraintsAreWarnedAbout(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	acme := func(c *x509.Certificate) { c.Subject.Organization = []string{"Acme"} }
	// Critical and not applied: every certificate below is refused, within Acme or not.
	sub := ca.SubCA("Sub", constraint(t, true))
	expect(t, trusting(t, ca.Cert), sub.Leaf("alice", acme).Presented(), reason.BadCertificate)
	expect(t, trusting(t, ca.Cert), sub.Leaf("mallory").Presented(), reason.BadCertificate)
	for _, critical := range []bool{true, false} {
		own := testpki.NewCA("Constrained CA", constraint(t, critical))
		v := trusting(t, own.Cert)
		if w := strings.Join(warningsOf(v), "\n"); !strings.Contains(w, "Constrained CA") || !strings.Contains(w, "constraint") {
			t.Errorf("critical %v: want a warning, got %q", critical, w)
		}
		want := reason.Reason("")
		if critical {
			want = reason.BadCertificate
		}
		expect(t, v, own.Leaf("alice", acme).Presented(), want)
	}
	plain := testpki.NewCA("Client CA", func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"acme.example"} })
	if w := warningsOf(trusting(t, plain.Cert)); len(w) != 0 {
		t.Errorf("a warning about a constraint that is applied: %q", w)
	}
}

// Malformed names below constraints of their type are refused without a panic.
// Covers B10.
func TestMalformedNamesAreRefused(t *testing.T) {
	ca := testpki.NewCA("Client CA", func(c *x509.Certificate) {
		c.PermittedDNSDomains = []string{"acme.example"}
		c.PermittedEmailAddresses = []string{"acme.example"}
		c.PermittedURIDomains = []string{"acme.example"}
		c.PermittedIPRanges = []*net.IPNet{network("10.1.0.0/16")}
	})
	v := trusting(t, ca.Cert)
	const email, dns, uri, ip = 1, 2, 6, 7
	for _, row := range []struct {
		name  string
		tag   int
		value string
	}{
		{"empty email", email, ""}, {"no domain", email, "a@"}, {"only a domain", email, "@acme.example"}, {"two @", email, "a@acme.example@evil.example"},
		{"quoted", email, `"a@acme.example`}, {"NUL", email, "a@evil.example\x00.acme.example"},
		{"empty DNS", dns, ""}, {"a dot", dns, "."}, {"dots", dns, "a..acme.example"}, {"leading dot", dns, ".acme.example.evil"}, {"wildcard alone", dns, "*"},
		{"wildcard above", dns, "*.example"}, {"NUL in DNS", dns, "evil.example\x00.acme.example"},
		{"empty URI", uri, ""}, {"no host", uri, "spiffe:///x"}, {"an address", uri, "https://10.1.2.3/"}, {"IPv6", uri, "https://[2001:db8::1]/"},
		{"a zone", uri, "https://[fe80::1%25eth0]/"}, {"a zone and a name", uri, "https://[fe80::1%25.acme.example]/"}, {"userinfo", uri, "https://acme.example@evil.example/"},
		{"no address", ip, ""}, {"three bytes", ip, "abc"}, {"mapped", ip, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x02\x00\x01"},
	} {
		t.Run(row.name, func(t *testing.T) {
			name := marshal(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: row.tag, Bytes: []byte(row.value)})
			leaf := parseable(t, ca, asn1.ObjectIdentifier{2, 5, 29, 17}, marshal(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: name}))
			if leaf == nil {
				return // not parsed: the handshake fails
			}
			_, err := v.Verify(context.Background(), certs{leaf})
			if reasonOf(t, err) == "" || strings.Contains(err.Error(), "panicked") {
				t.Errorf("%q: got %v, want a refusal without a panic", row.value, err)
			}
		})
	}
}

// parseable returns a leaf of ca with an extension of raw bytes, or nil if crypto/x509
// rejects it.
func parseable(t testing.TB, ca *testpki.Pair, id asn1.ObjectIdentifier, value []byte) *x509.Certificate {
	t.Helper()
	der := remade(t, ca, ca.Leaf("alice"), func(in *tbs) { in.Extensions = append(in.Extensions, pkix.Extension{Id: id, Value: value}) })
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return c
}

// A malformed constraint does not allow everything: the certificate is refused.
// Covers B10.
func TestMalformedConstraintsAreRefused(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	for name, value := range map[string][]byte{
		"empty":     {},
		"no list":   {0x30, 0},
		"null":      {5, 0},
		"cut":       {0x30, 9, 0xa0, 7, 0x30, 5, 0x82},
		"empty one": {0x30, 4, 0xa0, 2, 0x30, 0},
	} {
		sub := ca.SubCA("Sub")
		der := remade(t, ca, sub, func(in *tbs) {
			in.Extensions = append(in.Extensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: value})
		})
		c, err := x509.ParseCertificate(der)
		if err != nil {
			continue
		}
		if _, err := trusting(t, ca.Cert).Verify(context.Background(), certs{sub.Leaf("alice").Cert, c}); reasonOf(t, err) == "" {
			t.Errorf("%s: trusted", name)
		}
	}
}
