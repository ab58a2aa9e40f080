package trust_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestRefusalNamesTheUnknownCriticalExtension(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert}})
	if err != nil {
		t.Fatal(err)
	}
	leaf := ca.Leaf("alice", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	})
	if _, err := v.Verify(t.Context(), leaf.Presented()); err == nil || !strings.Contains(err.Error(), "unknown critical extension, 1.2.3.4") {
		t.Errorf("the error is %v", err)
	}
}
