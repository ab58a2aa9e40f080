package trust

import (
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Verifiers share the entries of a parsed list, and each refuses by its own rules: a signature
// that one verifier has checked shows nothing about another's authority of the same name.
func TestParsedCRLIsSharedByVerifiers(t *testing.T) {
	t.Parallel()
	ca, imposter := testpki.NewCA("Client CA"), testpki.NewCA("Client CA")
	revoked, good := ca.Leaf("revoked"), ca.Leaf("good")
	lists, err := access{}.ParseCRLs("ca.crl", ca.CRL(1, []*big.Int{revoked.Cert.SerialNumber}).Raw)
	if err != nil || len(lists) != 1 || len(lists[0].List.RevokedCertificateEntries) != 0 {
		t.Fatal(err)
	}
	parsed := lists[0].Parsed.(*parsedCRL)
	var verifiers []*Verifier
	for _, profile := range []Profile{Strict, Compatible} {
		v, err := access{}.New(Config{Anchors: []*x509.Certificate{ca.Cert}, Profile: profile}, lists)
		if err != nil {
			t.Fatal(err)
		}
		verifiers = append(verifiers, v)
		for _, l := range v.currentCRLs() {
			if l.parsedCRL != parsed {
				t.Error("the list was copied")
			}
		}
		if _, err := v.Verify(t.Context(), revoked.Presented()); !refusedAs(err, reason.Revoked) {
			t.Error(err)
		}
		if _, err := v.Verify(t.Context(), good.Presented()); err != nil {
			t.Error(err)
		}
	}
	if len(parsed.signers) != 1 || !parsed.signers[FingerprintOf(ca.Cert)] {
		t.Errorf("%d signers are cached, want the authority", len(parsed.signers))
	}
	if _, err := (access{}).New(Config{Anchors: []*x509.Certificate{imposter.Cert}}, lists); err == nil {
		t.Error("the authority of the same name with another key may use the list")
	}
	// An authority without the key usage cRLSign, for the same key.
	bare := testpki.Make(nil, ca.Key, &x509.Certificate{Subject: ca.Cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	if err := (access{}).CheckParsedCRL(lists[0], []*x509.Certificate{bare.Cert}, time.Now()); err == nil {
		t.Error("an authority that may not sign lists may use one that its key signed")
	}
	if _, err := verifiers[0].Verify(t.Context(), good.Presented()); err != nil {
		t.Error("a failed check of another authority refuses:", err)
	}
}

func refusedAs(err error, want reason.Reason) bool {
	refusal, ok := errors.AsType[*reason.Refusal](err)
	return ok && refusal.Reason == want
}
