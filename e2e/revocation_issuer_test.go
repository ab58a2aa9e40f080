package e2e

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// inUTF8 returns an authority with the same key and the same name in another string type and
// case. Its CRLs are those that another program of the same CA writes.
func inUTF8(t *testing.T, ca *testpki.Pair, commonName string) *testpki.Pair {
	t.Helper()
	type attribute struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	subject, err := asn1.Marshal([]asn1.RawValue{{Tag: asn1.TagSet, IsCompound: true, Bytes: func() []byte {
		der, err := asn1.Marshal(attribute{asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(commonName)}})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}()}})
	if err != nil {
		t.Fatal(err)
	}
	return testpki.Make(nil, ca.Key, &x509.Certificate{
		RawSubject: subject, Subject: pkix.Name{CommonName: commonName}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: ca.Cert.SubjectKeyId,
	})
}

// A CRL that encodes its issuer's name in another form revokes: from the file to the
// connection.
//
// Covers V2.
func TestCRLWithItsIssuerInAnotherEncodingRevokes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("ca.crl", crlPEM(inUTF8(t, s.ca, "client  CA").CRL(2, []*big.Int{s.bob.Cert.SerialNumber})))
	for _, mode := range []string{"soft", "hard"} {
		s.put(config, strings.Replace(siteConfig, "crls: [ca.crl]", "crls: [ca.crl]\n      revocation: "+mode, 1))
		l := s.start(mtlsguard.Options{})
		if got := get(s.client(s.bob), l.url("internal", "/whoami")); got != "refused" {
			t.Errorf("%s, bob: %s, want refused", mode, got)
		}
		if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "200 alice" {
			t.Errorf("%s, alice: %s, want 200 alice", mode, got)
		}
		if lines := l.log.find("level", "WARN", "error", "no known authority"); len(lines) > 0 {
			t.Errorf("%s: logged %v, want no warning", mode, lines)
		}
		l.stop()
	}
}

// A CRL that no known authority signed is logged at the start, and lint reports it, until
// crl_issuers names its issuer. With the anchor's name or key it is an error.
//
// Covers V2, L13.
func TestCRLOfAnUnknownIssuerIsAWarning(t *testing.T) {
	t.Parallel()
	sub := func(s *site) *testpki.Pair { return s.ca.SubCA("Sub CA") }
	for _, row := range []struct {
		name    string
		list    func(s *site, sub *testpki.Pair) *x509.RevocationList
		issuers string
		warns   bool
		refused string
	}{
		{"another authority's", func(s *site, _ *testpki.Pair) *x509.RevocationList { return s.other.CRL(1, nil) }, "", true, ""},
		{"an intermediate's", func(_ *site, sub *testpki.Pair) *x509.RevocationList { return sub.CRL(1, nil) }, "", true, ""},
		{"a known intermediate's", func(_ *site, sub *testpki.Pair) *x509.RevocationList { return sub.CRL(1, nil) }, "\n      crl_issuers: [sub.pem]", false, ""},
		{"a key of the anchor's name", func(*site, *testpki.Pair) *x509.RevocationList { return testpki.NewCA("Client CA").CRL(1, nil) }, "", false, "is not signed by its key"},
		{"the anchor's key under another name", func(s *site, _ *testpki.Pair) *x509.RevocationList { return inUTF8(t, s.ca, "Another CA").CRL(1, nil) }, "", false, "which is another name"},
		{"of a known intermediate's name", func(*site, *testpki.Pair) *x509.RevocationList { return testpki.NewCA("Sub CA").CRL(1, nil) }, "\n      crl_issuers: [sub.pem]", false, "is not signed by its key"},
		{"a leaf as its issuer", func(s *site, _ *testpki.Pair) *x509.RevocationList { return s.ca.CRL(1, nil) }, "\n      crl_issuers: [server.pem]", false, "is not a CA certificate"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			below := sub(s)
			s.put("sub.pem", string(below.CertPEM()))
			s.put("sub.crl", crlPEM(row.list(s, below)))
			s.sub(config, "crls: [ca.crl]", "crls: [ca.crl, sub.crl]"+row.issuers)
			if row.refused != "" {
				if _, err := mtlsguard.Open(s.path(config), mtlsguard.Options{}); err == nil || !strings.Contains(err.Error(), row.refused) {
					t.Errorf("got %v, want %q", err, row.refused)
				}
				return
			}
			const text = "no known authority signed the CRL of"
			l := s.start(mtlsguard.Options{})
			if got := len(l.log.find("level", "WARN", "error", text)) > 0; got != row.warns {
				t.Errorf("logged: %t, want %t", got, row.warns)
			}
			found, err := mtlsguard.Lint(s.path(config), mtlsguard.LintOptions{})
			if err != nil {
				t.Fatal(err)
			}
			linted := false
			for _, f := range found {
				linted = linted || strings.Contains(f.What, text)
			}
			if linted != row.warns {
				t.Errorf("reported by lint: %t, want %t", linted, row.warns)
			}
			if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "200 alice" {
				t.Errorf("alice: %s, want 200 alice", got)
			}
		})
	}
}

// When the must_be_revoked certificate expires, its CA removes it from the CRL. The next CRL
// loads, with a warning.
//
// Covers V4.
func TestNextCRLLoadsWhenTheCanaryHasExpired(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	canary := s.ca.Leaf("canary", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	s.put("known.pem", string(canary.CertPEM()))
	s.put("ca.crl", s.crl(1, canary))
	s.sub(config, "crls: [ca.crl]", "crls: [ca.crl]\n      must_be_revoked: [known.pem]")
	l := s.start(mtlsguard.Options{})
	s.put("ca.crl", s.crl(2, s.bob))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(s.client(s.bob), l.url("internal", "/whoami")); got != "refused" {
		t.Errorf("bob: %s, want refused", got)
	}
	if n := len(l.log.find("level", "WARN", "error", "that must be revoked expired")); n != 2 {
		t.Errorf("%d warnings, want one at the start and one at the reload", n)
	}
}

// Two URLs for one file are an error, with any spelling of the file's path.
//
// Covers L13.
func TestFileIsFetchedFromOneURL(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]func(s *site) string{
		"the same spelling":  func(*site) string { return "ca.crl" },
		"with a dot":         func(*site) string { return "./ca.crl" },
		"by a path with ..":  func(*site) string { return "folder/../ca.crl" },
		"absolute":           func(s *site) string { return s.path("ca.crl") },
		"a symbolic link":    func(*site) string { return "link.crl" },
		"in a linked folder": func(s *site) string { return "here/ca.crl" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			for link, target := range map[string]string{"link.crl": "ca.crl", "here": "."} {
				if err := os.Symlink(target, s.path(link)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(s.path("folder"), 0o700); err != nil {
				t.Fatal(err)
			}
			file := second(s)
			trustOf := func(file, url string) string {
				return fmt.Sprintf("trust: {anchors: [ca.pem], crls: [%q], fetch: [{url: %q, file: %q}]}", file, url, file)
			}
			write := func(one, two string) {
				text := strings.Replace(siteConfig, "reload: 0", "reload: 5s", 1)
				text = strings.Replace(text, "trust:\n      anchors: [ca.pem]\n      crls: [ca.crl]", trustOf("ca.crl", one), 1)
				s.put(config, strings.Replace(text, "trust: {anchors: [ca.pem]}", trustOf(file, two), 1))
			}
			write("http://127.0.0.1:1/one.crl", "http://127.0.0.1:1/two.crl")
			_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
			if err == nil || !strings.Contains(err.Error(), "fetched from another URL, in line 9") {
				t.Errorf("got %v, want the other URL's line as an error", err)
			}
			write("http://127.0.0.1:1/one.crl", "http://127.0.0.1:1/one.crl")
			if _, err := mtlsguard.Open(s.path(config), mtlsguard.Options{}); err != nil {
				t.Errorf("the same URL: %v", err)
			}
		})
	}
}
