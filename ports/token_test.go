package ports_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

// The error of a handshake whose token has no RSA-PSS has a hint, and what the hint says works.
func TestTokenWithoutPSSHasAHint(t *testing.T) {
	t.Parallel()
	key := testkit.RSAKey(t, 2048)
	pair := testpki.Make(serverCA, testkit.OldToken{Signer: key}, &x509.Certificate{
		DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}).TLS()
	old := pair
	old.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512}
	for _, row := range []struct {
		name    string
		pair    tls.Certificate
		setting *tls.Config
		works   bool
	}{
		{"TLS 1.3", pair, nil, false},
		{"TLS 1.2", pair, &tls.Config{MaxVersion: tls.VersionTLS12}, false}, // it prefers RSA-PSS too
		{"as the hint says", old, &tls.Config{MaxVersion: tls.VersionTLS12}, true},
	} {
		c, e := config(t, ports.Require)
		c.Certificate, c.TLS = ports.Static(row.pair), row.setting
		p := serving(t, c)
		if row.works {
			admitted(t, p, clientConfig(alice, h1))
			continue
		}
		caller, err := dial(t, p, clientConfig(alice, h1))
		if err == nil {
			t.Fatalf("%s: the handshake succeeds", row.name)
		}
		if h := e.of(t, caller.local); h.Reason != "" || h.Err == nil || !strings.Contains(h.Err.Error(), "CKR_MECHANISM_INVALID") || !strings.Contains(h.Err.Error(), "Use an EC key, or MaxVersion TLS 1.2") {
			t.Errorf("%s: got %+v, want the token's error and the hint", row.name, h)
		}
	}
}
