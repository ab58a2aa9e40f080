//go:build linux

package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/kongyaml"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// kongConfiguration has a route for the staff, one below it for admins, one for all but the
// partners, and one that another plugin guards.
const kongConfiguration = `_format_version: "3.0"
ca_certificates:
  - {id: client-ca, cert: "@CLIENT-CA@"}
  - {id: partner-ca, cert: "@PARTNER-CA@"}
consumers:
  - {username: alice, acls: [{group: staff}], mtls_auth_credentials: [{subject_name: alice@acme.example, ca_certificate: {id: client-ca}}]}
  - {username: bob, acls: [{group: admins}]}
  - {username: carol, acls: [{group: staff}]}
  - {username: orders-api, acls: [{group: robots}], mtls_auth_credentials: [{subject_name: "spiffe://acme/ns/prod/sa/orders"}]}
  - {username: partner, acls: [{group: partners}]}
  - {username: mallory, acls: [{group: staff}], plugins: [{name: request-termination}]}
services:
  - name: all
    plugins:
      - {name: mtls-auth, config: {ca_certificates: [client-ca, partner-ca], revocation_check_mode: SKIP}}
      - {name: acl, config: {allow: [staff, robots]}}
    routes:
      - {name: orders, paths: [/orders]}
      - {name: refunds, paths: [/orders/refunds], methods: [GET, POST], plugins: [{name: acl, config: {allow: [admins, robots]}}]}
      - {name: news, paths: [/news/], methods: [GET, HEAD], plugins: [{name: acl, config: {deny: [partners]}}]}
      - {name: old, paths: [/orders/old/], plugins: [{name: ip-restriction, config: {allow: [10.0.0.0/8]}}]}
`

// kongDecisions are the users that Kong lets in by these certificates, by hand.
var kongDecisions = map[string]string{
	"GET /orders": "alice carol orders-api", "POST /orders/7": "alice carol orders-api", "GET /orders/refunds": "bob orders-api", "POST /orders/refunds/7": "bob orders-api",
	"PUT /orders/refunds/7": "alice carol orders-api", "GET /news/today": "alice bob carol orders-api", "POST /news/today": "", "GET /orders/old/1": "", "GET /": "", "GET /ordersX": "",
}

// The users of an imported configuration of Kong get from a server what Kong would give them.
// Covers T3.
func TestImportedKongLetsTheSameUsersIn(t *testing.T) {
	testkit.SkipUnderRace(t, "an import is one goroutine")
	t.Parallel()
	dir := importertest.Folder(t, nil)
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(strings.TrimSpace(string(data)), "\n", `\n`)
	}
	conf := filepath.Join(dir, "kong.yaml")
	text := strings.NewReplacer("@CLIENT-CA@", read("client-ca.pem"), "@PARTNER-CA@", read("partner-ca.pem")).Replace(kongConfiguration)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := importer.New(importer.Options{Format: "kong", Certificates: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	if err := kongyaml.Read(in, []string{conf}, kongyaml.Options{WholeSegments: true, SameCase: true}); err != nil {
		t.Fatal(err)
	}
	out, err := in.Finish()
	if err != nil {
		t.Fatal(err)
	}

	s := &site{TB: t, dir: t.TempDir(), handler: http.HandlerFunc(whoami)}
	for _, f := range out.Files {
		s.put(f.Name, string(f.Data))
	}
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
	users := map[string]string{"alice": "alice", "bob": "bob", "carol": "carol", "orders": "orders-api", "partner": "partner", "mallory": "mallory", "untrusted": "alice", "ed25519": ""}
	for file, user := range users {
		client := pkiClient(t, file+".pem")
		for request, allowed := range kongDecisions {
			method, path, _ := strings.Cut(request, " ")
			want := ""
			if file != "untrusted" && user != "" && slices.Contains(strings.Fields(allowed), user) {
				want = user
			}
			if got := askAs(t, client, method, server.url("internal", path)); got != want {
				t.Errorf("%s: %s is user %q, want %q", file, request, got, want)
			}
		}
	}
}

// askAs returns the user that a server answers a request with, "" for a refusal.
func askAs(t *testing.T, client *http.Client, method, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(request)
	if err != nil {
		return "" // the port refuses the certificate in the handshake
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}
