package e2e

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// site is a configuration in a folder of its own, with all files that it names.
type site struct {
	testing.TB
	dir              string
	ca, other, serve *testpki.Pair // the clients' authority, an untrusted one, the server's
	alice, bob       *testpki.Pair
	handler          http.Handler
}

const siteConfig = `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust:
      anchors: [ca.pem]
      crls: [ca.crl]
    strict: true
    limits: {handshake: 5s, drain: 1s}
  - name: public
    listen: 127.0.0.1:0
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [ca.pem]}
    strict: false
    limits: {drain: 1s}
`

const siteUsers = `mappings:
  - {id: alice, user: alice, subject: "CN=alice", issuer: ca.pem}
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff", issuer: ca.pem, ports: [internal]}
`

const sitePolicy = `p, group:Everybody, *, GET, /whoami, allow
p, group:staff, internal, GET|POST, /orders/*, allow
p, user:bob, *, *, /orders/*, deny
g, user:alice, group:staff
g, user:bob, group:staff
`

func newSite(tb testing.TB) *site {
	s := &site{TB: tb, dir: tb.TempDir(), ca: testpki.NewCA("Client CA"), other: testpki.NewCA("Other CA"), serve: testpki.NewCA("Server CA"), handler: http.HandlerFunc(whoami)}
	s.alice = s.ca.Leaf("alice")
	s.bob = s.ca.Leaf("bob", func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"Staff"} })
	server := s.serve.Server()
	s.put("server.pem", string(server.CertPEM()))
	s.put("server-key.pem", string(server.KeyPEM()))
	s.put("ca.pem", string(s.ca.CertPEM()))
	s.put("ca.crl", s.crl(1))
	s.put("users.yaml", siteUsers)
	s.put("policy.csv", sitePolicy)
	s.put("mtlsguard.yaml", siteConfig)
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// put replaces a file atomically, by renaming a new one over it.
func (s *site) put(name, content string) {
	s.Helper()
	s.keep(name, content)
	temporary := filepath.Join(filepath.Dir(s.path(name)), ".new-"+filepath.Base(name))
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
	if err := os.Rename(temporary, s.path(name)); err != nil {
		s.Fatal(err)
	}
}

func (s *site) get(name string) string {
	s.Helper()
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		s.Fatal(err)
	}
	return string(data)
}

// sub replaces text in a file once. The test fails if the file has no such text.
func (s *site) sub(name, old, replacement string) {
	s.Helper()
	content := s.get(name)
	if !strings.Contains(content, old) {
		s.Fatalf("%s has no %q", name, old)
	}
	s.put(name, strings.Replace(content, old, replacement, 1))
}

// crl returns a CRL of the clients' authority in PEM.
func (s *site) crl(number int64, revoked ...*testpki.Pair) string {
	var serials []*big.Int
	for _, p := range revoked {
		serials = append(serials, p.Cert.SerialNumber)
	}
	return crlPEM(s.ca.CRL(number, serials))
}

func crlPEM(list *x509.RevocationList) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.Raw}))
}

func critical(list *x509.RevocationList) {
	list.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
}

// files returns the site as a file system in memory.
func (s *site) files() fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, file := range siteFiles {
		fsys[file.name] = &fstest.MapFile{Data: []byte(s.get(file.name))}
	}
	return fsys
}

// client returns a client that sends the certificate of holder, or none.
func (s *site) client(holder *testpki.Pair, options ...testkit.ClientOption) *http.Client {
	return testkit.Client(s, s.serve.Pool(), holder, options...)
}

// get returns "200 user", "403 reason", or "refused" where there was no answer.
func get(c *http.Client, url string) string {
	res, err := c.Get(url)
	if err != nil {
		return "refused"
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "refused"
	}
	text := string(body)
	if res.StatusCode != http.StatusOK {
		var p struct{ Reason string }
		_ = json.Unmarshal(body, &p)
		text = p.Reason
	}
	return strings.TrimSpace(res.Status[:3] + " " + text)
}

// getAfter is get after a change that wants an answer. Where it wants "refused", the open
// connection is about to be closed: until then it answers 403.
func getAfter(tb testing.TB, c *http.Client, url, want string) string {
	tb.Helper()
	got := get(c, url)
	if want == "refused" {
		testkit.Eventually(tb, "the end of the connection", func() bool {
			if strings.HasPrefix(got, "403 ") {
				got = get(c, url)
			}
			return !strings.HasPrefix(got, "403 ")
		})
	}
	return got
}
