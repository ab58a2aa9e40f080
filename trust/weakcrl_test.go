package trust_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
)

// crypto/x509 still accepts SHA-1 signatures of lists. An attacker with two lists of one
// SHA-1 could replace a list by one without an entry.
// Covers B5.
func TestCRLWithAWeakSignatureIsRejected(t *testing.T) {
	ca := testpki.NewCA("CA")
	list := ca.CRL(1, nil)
	anchors := []*x509.Certificate{ca.Cert}
	if err := trustaccess.CheckCRL(list, anchors, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, weak := range []x509.SignatureAlgorithm{x509.SHA1WithRSA, x509.ECDSAWithSHA1} {
		weakened := *list
		weakened.SignatureAlgorithm = weak
		if err := trustaccess.CheckCRL(&weakened, anchors, time.Now()); err == nil || !strings.Contains(err.Error(), "signed with "+weak.String()) {
			t.Errorf("%s: got %v, want the algorithm as an error", weak, err)
		}
	}
}
