package trust_test

import (
	"crypto/x509"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// SharesAnchor finds an anchor that issued the other at any depth if the certificates
// between are known. Otherwise, the chain of a leaf shows it.
//
// Covers F18.
func TestAnchorsAreSharedAtAnyDepth(t *testing.T) {
	t.Parallel()
	root, other := testpki.NewCA("Root"), testpki.NewCA("Other")
	policy := root.SubCA("Policy CA")
	users := policy.SubCA("Users CA")
	deep := users.SubCA("Deep CA")
	crossed := testpki.Make(other, policy.Key, &x509.Certificate{ // the same authority under another root
		Subject: policy.Cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: policy.Cert.SubjectKeyId,
	})
	beside := root.SubCA("Beside CA")
	for _, x := range []struct {
		name           string
		v, w           certs
		vKnows, wKnows certs
		shared         bool
	}{
		{"two levels, the one between is v's anchor too", certs{root.Cert, policy.Cert}, certs{users.Cert}, nil, nil, true},
		{"two levels, v knows the one between", certs{root.Cert}, certs{users.Cert}, certs{policy.Cert}, nil, true},
		{"two levels, w knows the one between", certs{root.Cert}, certs{users.Cert}, nil, certs{policy.Cert}, true},
		{"three levels, each knows one", certs{root.Cert}, certs{deep.Cert}, certs{policy.Cert}, certs{users.Cert}, true},
		{"by a cross certificate", certs{other.Cert}, certs{users.Cert}, certs{crossed.Cert}, nil, true},
		{"by another certificate of the key between", certs{other.Cert}, certs{users.Cert}, certs{crossed.Cert}, certs{policy.Cert}, true},
		{"two levels, neither knows the one between", certs{root.Cert}, certs{users.Cert}, nil, nil, false},
		{"beside each other, under a known root", certs{users.Cert}, certs{beside.Cert}, certs{policy.Cert}, nil, false},
		{"others", certs{other.Cert}, certs{users.Cert}, nil, certs{policy.Cert}, false},
	} {
		v := verifier(t, trust.Config{Anchors: x.v, CRLIssuers: x.vKnows})
		w := verifier(t, trust.Config{Anchors: x.w, CRLIssuers: x.wKnows})
		if trustaccess.SharesAnchor(v, w) != x.shared || trustaccess.SharesAnchor(w, v) != x.shared {
			t.Errorf("%s: %t and %t, want %t", x.name, trustaccess.SharesAnchor(v, w), trustaccess.SharesAnchor(w, v), x.shared)
		}
	}
	roots, below := trusting(t, root.Cert), trusting(t, users.Cert)
	pinned := trusting(t, other.Leaf("x").Cert)
	for _, x := range []struct {
		name  string
		leaf  *testpki.Pair
		other *trust.Verifier
		under bool
	}{
		{"right below the users' anchor", users.Leaf("x"), below, true},
		{"further below it", deep.Leaf("x"), below, true},
		{"above it", policy.Leaf("x"), below, false},
		{"beside it", beside.Leaf("x"), below, false},
		{"its own anchor", beside.Leaf("x"), roots, true},
		{"a pinned leaf's", beside.Leaf("x"), pinned, false},
		{"no other", users.Leaf("x"), nil, false},
	} {
		if got := trustaccess.IssuedUnderAnchor(expect(t, roots, x.leaf.Presented(), ""), x.other); got != x.under {
			t.Errorf("%s: %t, want %t", x.name, got, x.under)
		}
	}
	key := beside.Leaf("x")
	if !trustaccess.IssuedUnderAnchor(expect(t, roots, key.Presented(), ""), trusting(t, key.Cert)) {
		t.Error("a leaf that is an anchor of the other verifier")
	}
	if trustaccess.IssuedUnderAnchor(trust.Verified{}, roots) {
		t.Error("the zero value is under an anchor")
	}
}
