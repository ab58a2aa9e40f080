package site

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// A chain ends with the certificate of it that ends first.
func TestAChainEndsWithItsIntermediate(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	sub := testpki.NewCA("CA").SubCA("Sub", func(c *x509.Certificate) { c.NotAfter = end })
	pair := sub.Server().TLS()
	pair.Leaf, _ = x509.ParseCertificate(pair.Certificate[0])
	if what, first := chainEnd("p", &pair); !strings.Contains(what, `intermediate certificate "CN=Sub"`) || !first.NotAfter.Equal(end) || !ChainNotAfter(&pair).Equal(end) {
		t.Errorf("%s: got %s", what, first.NotAfter)
	}
}
