package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
)

// No secret, and nothing that a caller sent except names and paths, is logged, for any
// refusal and for any file in the wrong place.
// Covers L10.
func TestLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "strict: false", "strict: true")
	basic := middleware.Basic{Realm: "orders", Check: middleware.Passwords(map[string]string{"carol": "right-password"})}
	l := s.start(mtlsguard.Options{Debug: true, Authenticators: map[string][]middleware.Authenticator{"public": {basic}}})
	expired := s.other.Leaf("alice")
	for _, holder := range []*testpki.Pair{nil, s.alice, s.ca.Leaf("stranger"), expired} {
		for _, password := range []string{"right-password", "wrong-password"} {
			r, _ := http.NewRequest("GET", l.url("public", "/whoami?token=query-secret"), nil)
			r.SetBasicAuth("carol", password)
			r.Header.Set("Cookie", "session=cookie-secret")
			r.Header.Set("X-Anything", "header-secret")
			r.Header.Set("X-SSL-Client-Cert", "pem-secret")
			if res, err := s.client(holder).Do(r); err == nil {
				res.Body.Close()
			}
		}
	}
	key := s.get("server-key.pem")
	for _, name := range []string{"users.yaml", "policy.csv", "ca.pem", "ca.crl", "server.pem", "mtlsguard.yaml"} {
		good := s.get(name)
		for _, wrong := range []string{key, strings.ReplaceAll(key, "-----", ""), "p, " + strings.Join(strings.Split(key, "\n"), ", "), "a: " + key} {
			s.put(name, wrong)
			if err := l.server.Reload(); err == nil {
				t.Errorf("%s with a private key is loaded", name)
			}
		}
		s.put(name, good)
	}
	s.put("server-key.pem", key[:len(key)/2])
	_ = l.server.Reload()
	l.end()
	log := l.log.text()
	secrets := map[string]string{
		"the right password": "right-password", "the wrong password": "wrong-password", "a query": "query-secret", "a cookie": "cookie-secret",
		"a header": "header-secret", "a certificate header": "pem-secret", "PEM": "-----BEGIN PRIVATE", "Authorization": base64.StdEncoding.EncodeToString([]byte("carol:right-password")),
	}
	for i, line := range strings.Split(strings.TrimSpace(key), "\n") {
		if !strings.HasPrefix(line, "-----") {
			secrets["line "+string(rune('0'+i))+" of the key"] = line[:min(24, len(line))]
		}
	}
	for name, cert := range map[string]*testpki.Pair{"alice": s.alice, "the untrusted": expired} {
		secrets["the DER of "+name] = base64.StdEncoding.EncodeToString(cert.Cert.Raw[:48])
		secrets["the DER in hex of "+name] = hex.EncodeToString(cert.Cert.Raw[:16])
	}
	for name, secret := range secrets {
		if i := strings.Index(log, secret); i >= 0 {
			start := strings.LastIndexByte(log[:i], '\n') + 1
			line, _, _ := strings.Cut(log[start:], "\n")
			t.Errorf("%s is in the log: %s", name, line)
		}
	}
	if !strings.Contains(log, "/whoami") {
		t.Error("the log is empty")
	}
}

// No code of this module lets crypto/tls write its keys. The one KeyLogWriter keeps the secret
// of one handshake in memory until the handshake is over, to encrypt the alert that refuses a
// client.
// Covers L10.
func TestCodeHasNoKeyLogWriter(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		code := string(text)
		if filepath.Base(filepath.Dir(path)) == "ports" {
			code = strings.Replace(code, "own.KeyLogWriter = (*keyLog)(raw)", "", 1)
			code = strings.Replace(code, `"KeyLogWriter":`, "", 1) // Config.TLS rejects it
		}
		if strings.Contains(code, "KeyLogWriter") {
			t.Errorf("%s mentions KeyLogWriter", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
