package outbound_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/outbound"
)

// The error of a token without RSA-PSS has a hint, and what the hint says works.
func TestTokenWithoutPSSHasAHint(t *testing.T) {
	t.Parallel()
	key := testkit.RSAKey(t, 2048)
	s := serve(t, nil, requires)
	pkcs1 := []tls.SignatureScheme{tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512}
	for _, row := range []struct {
		name    string
		max     uint16
		schemes []tls.SignatureScheme
		works   bool
	}{
		{"TLS 1.3", 0, nil, false},
		{"TLS 1.2", tls.VersionTLS12, nil, false}, // it prefers RSA-PSS too
		{"as the hint says", tls.VersionTLS12, pkcs1, true},
	} {
		w := newFixture(t)
		pair := clientCA.LeafWithKey("alice", testkit.OldToken{Signer: key}).TLS()
		pair.SupportedSignatureAlgorithms = row.schemes
		credential, err := outbound.NewCredential("alice", pair)
		if err != nil {
			t.Fatal(err)
		}
		w.put(credential)
		w.config.Base = &http.Transport{TLSClientConfig: &tls.Config{MaxVersion: row.max}}
		got, err := get(as(t, "alice"), w.client(), s.URL)
		switch {
		case row.works && (err != nil || got != "alice"):
			t.Errorf("%s: got %q, %v; want alice", row.name, got, err)
		case !row.works && (err == nil || !strings.Contains(err.Error(), "CKR_MECHANISM_INVALID") || !strings.Contains(err.Error(), "Use an EC key, or MaxVersion TLS 1.2")):
			t.Errorf("%s: got %v, want the token's error with the hint", row.name, err)
		}
		if events := w.takeEvents(); !row.works && (len(events) != 1 || events[0].Err == nil || !strings.Contains(events[0].Err.Error(), "EC key")) {
			t.Errorf("%s: got %+v, want one failed handshake with the hint", row.name, events)
		}
	}
}
