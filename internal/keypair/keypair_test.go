package keypair

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// The error names what the key's file holds, and has a hint.
func TestAKeyThatCannotBeUsedIsExplained(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("CA")
	sub := ca.SubCA("Sub")
	server, other := sub.Server(), ca.Server()
	der, err := x509.MarshalPKCS8PrivateKey(server.Key)
	if err != nil {
		t.Fatal(err)
	}
	swapped := append(sub.CertPEM(), server.CertPEM()...)
	for _, row := range []struct {
		name       string
		cert, key  []byte
		what, hint string
		mismatch   bool
	}{
		{"good", server.CertPEM(), server.KeyPEM(), "", "", false},
		{"several keys", server.CertPEM(), append(other.KeyPEM(), server.KeyPEM()...), "", "", false},
		{"DER", server.CertPEM(), der, "a private key in DER", "openssl pkey -inform DER -in key.pem", false},
		{"a certificate", server.CertPEM(), server.CertPEM(), "certificates (BEGIN CERTIFICATE), not a private key", "private key in PEM", false},
		{"a byte order mark", server.CertPEM(), append([]byte("\xef\xbb\xbf"), server.KeyPEM()...), "byte order mark", "tail -c +4 key.pem", false},
		{"another's", server.CertPEM(), other.KeyPEM(), "does not match the first certificate in cert.pem", "openssl pkey -in key.pem -pubout", true},
		{"that of the second certificate", swapped, server.KeyPEM(), "it is the key of certificate 2 there", "put that one first: ", true},
	} {
		pair, mismatch, err := Read(" of port p", "cert.pem", "key.pem", row.cert, row.key)
		if row.what == "" {
			if err != nil || pair.PrivateKey == nil {
				t.Errorf("%s: got %v", row.name, err)
			}
			continue
		}
		all := configerror.All(err)
		if len(all) != 1 || all[0].File != "key.pem" || !strings.Contains(all[0].What, row.what) || !strings.Contains(all[0].Hint, row.hint) || mismatch != row.mismatch {
			t.Errorf("%s: %v, mismatch %v", row.name, err, mismatch)
		}
	}
}
