package token

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// keysOf returns the ids of the keys in the set.
func keysOf(tb testing.TB, s *Signer, now time.Time) (ids []string) {
	tb.Helper()
	w := httptest.NewRecorder()
	s.Handler(func() time.Time { return now }).ServeHTTP(w, httptest.NewRequest("GET", Path, nil))
	var set struct {
		Keys []struct{ Kid, Kty, Crv, X, Alg, Use, D string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		tb.Fatal(err)
	}
	for _, k := range set.Keys {
		if k.Kty != "OKP" || k.Crv != "Ed25519" || k.Alg != "EdDSA" || k.Use != "sig" || k.D != "" || len(k.X) != 43 {
			tb.Errorf("got %+v, want a public Ed25519 key", k)
		}
		ids = append(ids, k.Kid)
	}
	return ids
}

// The key and the thumbprint of RFC 8037, appendix A.3.
func TestThumbprintOfTheRFC(t *testing.T) {
	t.Parallel()
	seed, err := encoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	if err != nil {
		t.Fatal(err)
	}
	k := newKey(ed25519.NewKeyFromSeed(seed))
	if k.public.X != "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" || k.public.ID != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("got %+v, want the key and thumbprint of the RFC", k.public)
	}
}

// openssl and python3 verify a token by the published key, and read the claims.
func TestOthersVerifyATokenByTheKeySet(t *testing.T) {
	t.Parallel()
	python, openssl := testkit.Program(t, "python3", "python3"), testkit.Program(t, "openssl", "openssl")
	now := time.Unix(1_800_000_000, 0)
	var s Signer
	s.Use(nil, now)
	text := s.Sign(Caller{User: "alice", Groups: []string{"Everybody", "staff"}, Mapping: "alice-2026"}, "http://127.0.0.1:8080", now)
	w := httptest.NewRecorder()
	s.Handler(func() time.Time { return now }).ServeHTTP(w, httptest.NewRequest("GET", Path, nil))
	dir := t.TempDir()
	for name, content := range map[string]string{"jwks.json": w.Body.String(), "token": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const script = `
import base64, json
def decode(s): return base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
head, body, signature = open("token").read().split(".")
key = {k["kid"]: k for k in json.load(open("jwks.json"))["keys"]}[json.loads(decode(head))["kid"]]
open("signed", "w").write(head + "." + body)
open("signature", "wb").write(decode(signature))
der = bytes.fromhex("302a300506032b6570032100") + decode(key["x"])   # RFC 8410
open("key.der", "wb").write(der)
c = json.loads(decode(body))
assert json.loads(decode(head))["alg"] == "EdDSA"
assert len(c["jti"]) == 32
print(c["sub"], c["aud"], c["groups"], c["mapping"], c["iat"], c["exp"] - c["iat"])
`
	read := exec.Command(python, "-c", script)
	read.Dir = dir
	out, err := read.CombinedOutput()
	if want := "alice http://127.0.0.1:8080 ['Everybody', 'staff'] alice-2026 1800000000 60\n"; err != nil || string(out) != want {
		t.Fatalf("got %v, %s; want %s", err, out, want)
	}
	verify := func() error {
		c := exec.Command(openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", "key.der", "-sigfile", "signature", "-in", "signed")
		c.Dir = dir
		return c.Run()
	}
	if err := verify(); err != nil {
		t.Error(err)
	}
	head, body, _ := strings.Cut(text, ".")
	body, _, _ = strings.Cut(body, ".")
	if err := os.WriteFile(filepath.Join(dir, "signed"), []byte(head+"."+body[:len(body)-1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if verify() == nil {
		t.Error("a changed token is verified")
	}
}

// A replaced key stays in the set for two minutes, and never signs again.
func TestRotation(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	var s Signer
	s.Use(nil, now)
	first := keysOf(t, &s, now)
	_, second, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Use(nil, now) // the same
	s.Use(second, now)
	both := keysOf(t, &s, now.Add(overlap-time.Second))
	if len(first) != 1 || len(both) != 2 || both[1] != first[0] {
		t.Errorf("%v, then %v", first, both)
	}
	if one := keysOf(t, &s, now.Add(overlap)); len(one) != 1 || one[0] != both[0] {
		t.Errorf("after two minutes: %v", one)
	}
	s.Use(nil, now.Add(time.Second)) // back
	if again := keysOf(t, &s, now.Add(2*time.Second)); len(again) != 2 || again[0] != first[0] || again[1] != both[0] {
		t.Errorf("back: %v", again)
	}
}

// A file with anything but one Ed25519 key is an error.
func TestParseKey(t *testing.T) {
	t.Parallel()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	good := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if k, err := ParseKey(good); err != nil || !k.Equal(private) {
		t.Error(err)
	}
	for _, bad := range [][]byte{nil, []byte("x"), append(good, good...), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der[1:]}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := ParseKey(data); err == nil && len(k) != ed25519.PrivateKeySize {
			t.Errorf("a key of %d bytes", len(k))
		}
	})
}
