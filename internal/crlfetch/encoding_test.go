package crlfetch_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// A list with its issuer's name in another string type is a list of the authority, and a
// successor of the one in the file.
//
// Covers V2.
func TestListWithItsIssuerInAnotherEncodingIsFetched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	subject, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("client  CA")}}}})
	if err != nil {
		t.Fatal(err)
	}
	other := testpki.Make(nil, w.ca.Key, &x509.Certificate{
		RawSubject: subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: w.ca.Cert.SubjectKeyId,
	})
	w.give(w.list(1))
	w.fetched(t)
	second := other.CRL(2, nil)
	if string(second.RawIssuer) == string(w.ca.Cert.RawSubject) {
		t.Fatal("the name is the same bytes: this test checks nothing")
	}
	w.give(second.Raw)
	w.fetched(t)
	w.holds(t, second.Raw)
}
