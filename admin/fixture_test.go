package admin_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

const siteConfig = `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - name: admin
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
  - name: public
    listen: 127.0.0.1:0
    client_cert: request
    strict: false
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
`

const siteUsers = `mappings:
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem}
  - {id: old, user: olaf, subject: "CN=olaf,OU=Old,O=Acme", issuer: client-ca.pem, disabled: true}
`

// The last rule is an error, which must not open the page to Default.
const sitePolicy = `p, group:admins, admin, *, /*, allow
p, group:auditors, admin, GET, /*, allow
p, group:auditors, admin, POST, /explain, allow
p, group:auditors, admin, POST, /api/v1/explain, allow
p, group:auditors, admin, POST, /api/v1/inspect, allow
p, user:alice, internal, GET, /orders/*, allow
p, user:bob, internal, *, /secret/*, deny
g, user:alice, group:admins
g, user:carol, group:auditors
p, group:Everybody, public, *, /*, allow
`

// site is a server with its page. Port public serves the page too, to callers without a
// certificate.
type site struct {
	testing.TB
	dir    string
	server *mtlsguard.Server
	page   *admin.Page
	addr   map[string]string
	roots  *x509.CertPool
	stop   context.CancelFunc
	ended  chan error
	clock  *testkit.Clock
	log    logBuffer
}

func newSite(tb testing.TB, edits ...func(*admin.Config)) *site {
	tb.Helper()
	return openSite(tb, siteConfig, nil, edits...)
}

// openSite is newSite with another configuration, and a source that it may follow.
func openSite(tb testing.TB, file string, from source.Source, edits ...func(*admin.Config)) *site {
	tb.Helper()
	s := &site{TB: tb, dir: tb.TempDir(), addr: map[string]string{}, ended: make(chan error, 1), clock: &testkit.Clock{}}
	for _, name := range []string{"server.pem", "server-key.pem", "client-ca.pem"} {
		data, err := pki.Files.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		s.put(name, string(data))
	}
	s.put("mtlsguard.yaml", file)
	s.put("users.yaml", siteUsers)
	s.put("policy.csv", sitePolicy)
	config := admin.Config{Title: "orders <test>", Now: s.clock.Now}
	for _, edit := range edits {
		edit(&config)
	}
	var err error
	if s.page, err = admin.New(config); err != nil {
		tb.Fatal(err)
	}
	ready := make(chan struct{})
	options := mtlsguard.Options{Source: from, Observe: s.page.Observe, OnHandshake: s.page.OnHandshake, Now: s.clock.Now, Log: mtlsguard.JSONLog(&s.log, nil), Ready: func() { close(ready) }}
	if s.server, err = mtlsguard.Open(filepath.Join(s.dir, "mtlsguard.yaml"), options); err != nil {
		tb.Fatal(err)
	}
	s.page.Watch(s.server)
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.ended <- s.server.Serve(ctx, http.HandlerFunc(s.serve)) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-s.ended; err != nil {
			tb.Error(err)
		}
		s.ended <- nil
	})
	select {
	case <-ready:
	case err := <-s.ended:
		s.ended <- nil
		tb.Fatal(err)
	}
	for _, p := range s.server.Ports() {
		s.addr[p.Name()] = p.Addr().String()
	}
	s.roots = x509.NewCertPool()
	serverCA, _ := pki.Files.ReadFile("server-ca.pem")
	s.roots.AppendCertsFromPEM(serverCA)
	return s
}

// serve serves the page on two ports, and an API on the third.
func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	if id, _ := identity.FromContext(r.Context()); id.Port == "internal" {
		_, _ = io.WriteString(w, "order")
		return
	}
	s.page.Handler().ServeHTTP(w, r)
}

func (s *site) put(name, content string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

// pairOf returns a certificate of testdata/pki with its key.
func pairOf(tb testing.TB, name string) *testpki.Pair {
	tb.Helper()
	data, err := pki.Files.ReadFile(name + ".pem")
	if err != nil {
		tb.Fatal(err)
	}
	keyData, err := pki.Files.ReadFile(name + "-key.pem")
	if err != nil {
		tb.Fatal(err)
	}
	pair := &testpki.Pair{}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			tb.Fatal(err)
		}
		if pair.Cert == nil {
			pair.Cert = c
		} else {
			pair.Chain = append(pair.Chain, c)
		}
	}
	keyBlock, _ := pem.Decode(keyData)
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	pair.Key = key.(crypto.Signer)
	return pair
}

// client returns a client with a certificate of testdata/pki, or without one for "".
func (s *site) client(name string, options ...testkit.ClientOption) *http.Client {
	s.Helper()
	if name == "" {
		return testkit.Client(s, s.roots, nil, options...)
	}
	return testkit.Client(s, s.roots, pairOf(s, name), options...)
}

// answer is the answer to a request.
type answer struct {
	*http.Response
	body string
}

// do sends a request to a port. Pairs are headers.
func (s *site) do(c *http.Client, method, port, path, body string, pairs ...string) *answer {
	s.Helper()
	r, err := http.NewRequest(method, "https://"+s.addr[port]+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Add(pairs[i], pairs[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return &answer{res, string(data)}
}

// decode reads the JSON of an answer that must be 200.
func decode[T any](s *site, a *answer) (v T) {
	s.Helper()
	if a.StatusCode != http.StatusOK {
		s.Fatalf("got %s: %s, want 200", a.Status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		s.Fatalf("the answer is not JSON: %v: %s", err, a.body)
	}
	return v
}

// decodeAny reads JSON.
func decodeAny[T any](t testing.TB, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("the text is not JSON: %v: %s", err, text)
	}
	return v
}

// explained is what tests read of an explanation.
type explained struct {
	Verdict, Reason, Stage string
	Allowed                bool
	Hints                  []admin.Hint
}

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }
