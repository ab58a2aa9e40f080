package trust_test

import (
	"context"
	"crypto/x509"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestVerify(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	sub := ca.SubCA("Sub")
	v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert}})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*testpki.Pair{ca.Leaf("alice"), sub.Leaf("bob")} {
		got, err := v.Verify(context.Background(), p.Presented())
		if err != nil {
			t.Fatal(err)
		}
		if !got.IssuedUnder(trust.SPKIOf(ca.Cert)) {
			t.Error("not under the CA")
		}
	}
	if _, err := v.Verify(context.Background(), testpki.NewCA("x").Leaf("eve").Presented()); err == nil {
		t.Error("believed")
	}
}
