package e2e

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
)

// ed25519Key returns a new private key in PEM.
func ed25519Key(tb testing.TB) string {
	tb.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// verified returns the claims of a token, if a key of the set has signed it, and the number of
// keys.
func verified(tb testing.TB, token, set string) (claims map[string]any, keys int) {
	tb.Helper()
	var published struct{ Keys []struct{ Kid, X string } }
	if err := json.Unmarshal([]byte(set), &published); err != nil {
		tb.Fatalf("the keys are not JSON: %v: %s", err, set)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		tb.Fatalf("%q is no token", token)
	}
	decode := func(s string) []byte {
		out, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			tb.Fatal(err)
		}
		return out
	}
	var head struct{ Kid string }
	if err := json.Unmarshal(decode(parts[0]), &head); err != nil {
		tb.Fatal(err)
	}
	for _, k := range published.Keys {
		if k.Kid == head.Kid && ed25519.Verify(decode(k.X), []byte(parts[0]+"."+parts[1]), decode(parts[2])) {
			if err := json.Unmarshal(decode(parts[1]), &claims); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return claims, len(published.Keys)
}

// A service gets a signed token about the caller, and none that the caller has made. A new key
// takes effect at a reload, and the former one stays published.
// Covers Y13.
func TestSignedHeader(t *testing.T) {
	t.Parallel()
	s := newUpstreamSite(t, service(t, headers), "headers: {signed: X-Caller-Token}")
	s.sub(config, "    strict: false\n    upstream", "    strict: false\n    # upstream")
	s.put(config, s.get(config)+"tokens: {port: public}\n")
	l := s.start(mtlsguard.Options{})
	client := l.client(l.alice)
	keys := func() string {
		status, _, body := send(t, l.client(nil), "GET", l.url("public", "/.well-known/jwks.json"))
		if status != 200 {
			t.Fatalf("the keys: %d %s", status, body)
		}
		return body
	}
	token := func() string {
		_, got, body := send(t, client, "GET", l.url("internal", "/orders/7"), "X-Caller-Token", "forged", "X_Caller_Token", "forged")
		if len(got["X-Caller-Token"]) != 1 || got["X_caller_token"] != nil {
			t.Fatal(body)
		}
		return got.Get("X-Caller-Token")
	}
	first := token()
	claims, n := verified(t, first, keys())
	if n != 1 || claims["sub"] != "alice" || claims["mapping"] != "alice" || !strings.HasPrefix(claims["aud"].(string), "http://127.0.0.1:") || claims["exp"].(float64)-claims["iat"].(float64) != 60 {
		t.Errorf("%d keys, %v", n, claims)
	}
	if again, _ := verified(t, token(), keys()); again["jti"] == claims["jti"] {
		t.Error("two tokens have one jti")
	}
	s.put("token-key.pem", ed25519Key(t))
	s.sub(config, "tokens: {port: public}", "tokens: {port: public, key: token-key.pem}")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a token of the new key": token(), "a token of the former key": first} {
		if claims, n := verified(t, text, keys()); n != 2 || claims == nil {
			t.Errorf("%s: %d keys, %v", name, n, claims)
		}
	}
	s.put("token-key.pem", "nothing")
	if err := l.server.Reload(); err == nil || !strings.Contains(err.Error(), "token-key.pem: the file has no private key") {
		t.Error(err)
	}
	if claims, n := verified(t, token(), keys()); n != 2 || claims == nil {
		t.Errorf("after a failed reload: %d keys, %v", n, claims)
	}
}

// The command of the hint about a wrong key makes another file: the one that was named may be the key of the server.
func TestHintAboutATokenKeyLosesNothing(t *testing.T) {
	t.Parallel()
	for named, other := range map[string]string{"server-key.pem": "token-key.pem", "token-key.pem": "new-token-key.pem"} {
		s := newUpstreamSite(t, "http://127.0.0.1:9", "headers: {signed: X-Caller-Token}")
		s.put("token-key.pem", "nothing")
		s.put(config, s.get(config)+"tokens: {port: public, key: "+named+"}\n")
		s.sub(config, "    strict: false\n    upstream", "    strict: false\n    # upstream")
		_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
		if all := configerror.All(err); len(all) != 1 || !strings.HasSuffix(all[0].Hint, " -out "+other) {
			t.Errorf("%s: got %v, want one error whose hint writes %s", named, err, other)
		}
	}
}
