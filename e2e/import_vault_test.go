//go:build linux

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/vaultrole"
)

// vaultRoles are roles of the auth method cert. @FILE@ is the content of a certificate.
var vaultRoles = map[string]string{
	"mail":     `{"certificate": "@client-ca.pem@", "allowed_email_sans": ["alice@acme.example"], "token_policies": ["readers"]}`,
	"services": `{"certificate": "@client-ca.pem@", "allowed_uri_sans": ["spiffe://acme/ns/prod/sa/*"], "token_policies": ["readers"]}`,
	"bobs":     `{"certificate": "@client-ca.pem@", "allowed_common_names": ["bob"], "token_policies": ["writers"]}`,
	"both":     `{"certificate": "@client-ca.pem@", "allowed_common_names": ["ed25519", "p384"], "allowed_organizational_units": ["Staff"], "token_policies": ["readers"]}`,
	"one":      `{"certificate": "@carol.pem@", "token_policies": ["readers"]}`,
	"far":      `{"certificate": "@partner-ca.pem@", "allowed_common_names": ["*"], "required_extensions": ["1.2.3:x"], "token_policies": ["readers"]}`,
}

// vaultUsers are the roles that Vault lets these certificates into, by hand. Every other certificate
// is of no role, or of one that is not carried.
var vaultUsers = map[string]string{"alice": "mail", "orders": "services", "bob": "bobs", "carol": "one", "ed25519": "both", "p384": "both"}

// The certificates of imported roles of Vault are the same users on a server, and no other certificate has a user.
// Covers T3.
func TestImportedVaultRolesAreTheSameUsers(t *testing.T) {
	t.Parallel()
	dir := importertest.Folder(t, nil)
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	var files []string
	for name, role := range vaultRoles {
		before, certificate, _ := strings.Cut(role, "@")
		certificate, after, _ := strings.Cut(certificate, "@")
		quoted, err := json.Marshal(read(certificate))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name+".json")
		text := `{"data": ` + strings.TrimSuffix(before, `"`) + string(quoted) + strings.TrimPrefix(after, `"`) + "}"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	in, err := importer.New(importer.Options{Format: "vault", Certificates: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	if err := vaultrole.Read(in, files, vaultrole.Options{Groups: true, SameCase: true}); err != nil {
		t.Fatal(err)
	}
	out, err := in.Finish()
	if err != nil {
		t.Fatal(err)
	}

	s := &site{TB: t, dir: t.TempDir(), handler: http.HandlerFunc(whoami)}
	policy := "p, group:readers, *, GET, /*, allow\np, group:writers, *, GET|POST, /*, allow\n"
	for _, f := range out.Files {
		if f.Name == "policy.csv" {
			policy += string(f.Data)
			continue
		}
		s.put(f.Name, string(f.Data))
	}
	s.put("policy.csv", policy)
	for _, name := range []string{"server.pem", "server-key.pem", "client-ca.pem", "partner-ca.pem"} {
		putKey(t, s.dir, name)
	}
	s.put("mtlsguard.yaml", `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - {name: internal, listen: "127.0.0.1:0", client_cert: require, certificate: {cert: server.pem, key: server-key.pem}, trust: {anchors: [client-ca.pem, partner-ca.pem]}}
`)
	server := s.start(mtlsguard.Options{})
	all, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil {
		t.Fatal(err)
	}
	users := 0
	for _, file := range all {
		name := strings.TrimSuffix(filepath.Base(file), ".pem")
		if strings.HasSuffix(name, "-ca") {
			continue
		}
		client := pkiClient(t, name+".pem")
		if client == nil {
			continue
		}
		want := vaultUsers[name]
		if got := askAs(t, client, http.MethodGet, server.url("internal", "/secret")); got != want {
			t.Errorf("%s: GET is user %q, want %q", name, got, want)
		} else if got != "" {
			users++
		}
		if want != "bobs" {
			want = ""
		}
		if got := askAs(t, client, http.MethodPost, server.url("internal", "/secret")); got != want {
			t.Errorf("%s: POST is user %q, want %q", name, got, want)
		}
	}
	if users != len(vaultUsers) {
		t.Errorf("%d users", users)
	}
}
