package trust_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// rawName returns a Name in DER, one attribute in each relative name.
func rawName(t testing.TB, tag int, attributes ...string) []byte {
	t.Helper()
	oids := map[string]asn1.ObjectIdentifier{"CN": {2, 5, 4, 3}, "O": {2, 5, 4, 10}, "X": {1, 2, 3}}
	var rdns []pkix.RelativeDistinguishedNameSET
	for _, a := range attributes {
		kind, value, _ := strings.Cut(a, "=")
		rdns = append(rdns, pkix.RelativeDistinguishedNameSET{{Type: oids[kind], Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}})
	}
	return marshal(t, rdns)
}

// If an issuer that is loaded, or that the client sent, looks like the certificate's, the error
// does not report the issuer as missing.
func TestIssuerThatIsThereIsNotCalledMissing(t *testing.T) {
	t.Parallel()
	named := func(tag int, attributes ...string) *testpki.Pair {
		return testpki.NewCA("", func(c *x509.Certificate) { c.RawSubject = rawName(t, tag, attributes...) })
	}
	again := func(p *testpki.Pair, tag int, attributes ...string) *testpki.Pair {
		template := *p.Cert
		template.SerialNumber, template.RawSubject = nil, rawName(t, tag, attributes...)
		return testpki.Make(nil, p.Key, &template)
	}
	const utf8, printable = asn1.TagUTF8String, asn1.TagPrintableString
	ca := named(utf8, "O=Acme", "CN=Client CA")
	alice := ca.Leaf("alice")
	sub := ca.SubCA("Sub")
	below := sub.Leaf("bob")
	other := testpki.NewCA("Other")
	twin := other.SubCA("Sub")
	for _, row := range []struct {
		name      string
		anchor    *testpki.Pair
		presented certs
		want      string // with %X for the serial number of the anchor
	}{
		{"no such name", other, alice.Presented(), `no anchor for issuer "CN=Client CA,O=Acme", whose certificate was not sent (certificates sent: 1); no known issuer has a similar name, known: "CN=Other"`},
		{"another key", named(utf8, "O=Acme", "CN=Client CA"), alice.Presented(), `the anchor "CN=Client CA,O=Acme", serial %X, has the issuer's name, but another key`},
		{"another string type", again(ca, printable, "O=Acme", "CN=Client CA"), alice.Presented(), `the anchor "CN=Client CA,O=Acme", serial %X, has the same name in another encoding (names in chains are compared byte by byte)`},
		{"another case, another key", named(utf8, "O=ACME", "CN=Client CA"), alice.Presented(), `serial %X, has the same name in another encoding (names in chains are compared byte by byte), and another key`},
		{"another order", again(ca, utf8, "CN=Client CA", "O=Acme"), alice.Presented(), `the anchor "CN=Client CA,O=Acme", serial %X, has a name that is printed alike, with its parts in another order or form`},
		{"the anchor of an intermediate that was sent", named(utf8, "O=Acme", "CN=Client CA"), below.Presented(), `the anchor "CN=Client CA,O=Acme", serial %X, has the issuer's name, but another key`},
		{"an intermediate with another key was sent", ca, certs{below.Cert, twin.Cert}, fmt.Sprintf(`no anchor for issuer "CN=Sub"; the client sent "CN=Sub", serial %X, which has the issuer's name, but another key`, twin.Cert.SerialNumber)},
		{"the intermediate is missing", ca, certs{below.Cert}, `no anchor for issuer "CN=Sub", whose certificate was not sent (certificates sent: 1); no known issuer has a similar name, known: "CN=Client CA,O=Acme"`},
	} {
		_, err := trusting(t, row.anchor.Cert).Verify(t.Context(), row.presented)
		want := row.want
		if strings.Contains(want, "%X") {
			want = fmt.Sprintf(want, row.anchor.Cert.SerialNumber)
		}
		if reasonOf(t, err) != reason.UnknownAuthority || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", row.name, err, want)
		}
	}
}

// A certificate that signed the leaf and is not an authority is named.
func TestSignerThatIsNoAuthorityIsNamed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]testpki.Option{
		"no CA":          func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid, c.KeyUsage = false, false, 0 },
		"no keyCertSign": func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign },
	} {
		ca := testpki.NewCA("Client CA", change)
		_, err := trusting(t, ca.Cert).Verify(t.Context(), certs{ca.Leaf("alice").Cert})
		if reasonOf(t, err) != reason.BadCertificate || !strings.Contains(err.Error(), `"CN=Client CA" signed a certificate, but is not an authority`) {
			t.Errorf("%s: got %v, want bad-certificate that names the signer", name, err)
		}
	}
}

// The error about a must_be_revoked certificate names the issuer that is there with another key.
func TestIssuerOfMustBeRevokedThatIsThereIsNamed(t *testing.T) {
	t.Parallel()
	ca, twin := testpki.NewCA("Client CA"), testpki.NewCA("Client CA")
	victim := twin.Leaf("victim")
	_, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, CRLs: []*x509.RevocationList{ca.CRL(1, nil)}, MustBeRevoked: certs{victim.Cert}})
	if want := fmt.Sprintf(`"CN=Client CA", serial %X, has the issuer's name, but another key`, ca.Cert.SerialNumber); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
