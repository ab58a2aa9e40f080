package trust_test

import (
	"crypto/x509"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
)

// Covers B16.
func TestSharedAnchorsAreDetected(t *testing.T) {
	t.Parallel()
	a, b := testpki.NewCA("A"), testpki.NewCA("B")
	below, beside := a.SubCA("below A"), a.SubCA("beside")
	renewed := testpki.Make(nil, a.Key, &x509.Certificate{Subject: a.Cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	namesake := testpki.NewCA("A")
	for _, x := range []struct {
		name   string
		v, w   certs
		shared bool
	}{
		{"the same certificate", certs{a.Cert}, certs{a.Cert}, true},
		{"one of several", certs{b.Cert, a.Cert}, certs{testpki.NewCA("C").Cert, a.Cert}, true},
		{"another certificate of the same key", certs{a.Cert}, certs{renewed.Cert}, true},
		{"one issued the other", certs{a.Cert}, certs{below.Cert}, true},
		{"a leaf of the other, as an anchor", certs{a.Cert}, certs{a.Leaf("pinned").Cert}, true},
		{"two of one root that neither has", certs{below.Cert}, certs{beside.Cert}, false},
		{"others", certs{a.Cert}, certs{b.Cert}, false},
		{"different ones of one name", certs{a.Cert}, certs{namesake.Cert}, false},
	} {
		v, w := trusting(t, x.v...), trusting(t, x.w...)
		if trustaccess.SharesAnchor(v, w) != x.shared || trustaccess.SharesAnchor(w, v) != x.shared {
			t.Errorf("%s: %t and %t, want %t", x.name, trustaccess.SharesAnchor(v, w), trustaccess.SharesAnchor(w, v), x.shared)
		}
	}
}
