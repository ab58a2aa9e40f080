package admin_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A file that cannot be written is not an error of the editor, and nothing changes.
// Covers W10.
func TestUsersThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice := s.client("alice")
	name := strings.Repeat("u", 250) + ".yaml" // the name of a temporary file beside it is too long
	s.put(name, siteUsers)
	s.put("mtlsguard.yaml", strings.Replace(siteConfig, "users.yaml", name, 1))
	if err := s.server.Reload(); err != nil {
		t.Fatal(err)
	}
	generation := s.server.Status().Generation
	etag := s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag")
	got := s.do(alice, "PATCH", "admin", "/api/v1/mappings/old", `{"disabled":false}`, "If-Match", etag)
	if got.StatusCode != 500 || !strings.Contains(got.body, "cannot be written") || got.Header.Get("ETag") != etag || s.server.Status().Generation != generation {
		t.Errorf("got %s %s, want 500, and nothing changed", got.Status, got.body)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil || string(data) != siteUsers {
		t.Errorf("got %v %s, want the users unchanged", err, data)
	}
	if got := s.do(alice, "PATCH", "admin", "/api/v1/mappings/old", `{"disabled":false}`, "If-Match", etag+`, "`+strings.Repeat("0", 64)+`"`); got.StatusCode != 422 {
		t.Error(got.Status)
	}
}

// A private key is refused in whatever field it is pasted: it is not shown, and not logged.
// Covers W6.
func TestKeyInAnyFieldIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice := s.client("alice")
	data, err := os.ReadFile("../testdata/pki/alice-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	key := string(data)
	secret := strings.Split(key, "\n")[1]
	etag := s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag")
	n := 0
	check := func(what string, got *answer) {
		t.Helper()
		if !strings.Contains(got.body, "holds a private key") || strings.Contains(got.body, secret) {
			t.Errorf("%s: %s\n%s", what, got.Status, got.body)
		}
	}
	for _, field := range []string{"user", "id", "value", "by", "not_after", "certificate_pem"} {
		body, _ := json.Marshal(map[string]string{field: key})
		check(field, s.do(alice, "POST", "admin", "/api/v1/mappings", string(body), "If-Match", etag))
		n++
	}
	for _, field := range []string{"user", "id", "value", "note", "last_day", "reference", "certificate_pem"} {
		body := url.Values{field: {key}, "etag": {etag}, "step": {"add"}}.Encode()
		check(field+" of the form", s.do(alice, "POST", "admin", "/new-mapping", body, "Content-Type", "application/x-www-form-urlencoded"))
		n++
	}
	short, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	note := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: short}))
	check("the note", s.do(alice, "PATCH", "admin", "/api/v1/mappings/old?note="+url.QueryEscape(note), `{"disabled":true}`, "If-Match", etag))
	n++
	body, _ := json.Marshal(map[string]any{"port": "internal", "path": "/" + key})
	check("a question", s.do(alice, "POST", "admin", "/api/v1/explain", string(body)))
	check("the form of a question", s.do(alice, "POST", "admin", "/explain", url.Values{"headers": {"X: " + key}}.Encode(), "Content-Type", "application/x-www-form-urlencoded"))
	testkit.Eventually(t, "the edits are logged", func() bool { return len(s.log.edits(t)) == n })
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if text := s.log.text.String(); strings.Contains(text, secret[:20]) || strings.Contains(text, strings.Split(note, "\n")[1][:20]) {
		t.Error("the key is in the log")
	}
}
