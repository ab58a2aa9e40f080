package browsertest_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/trust"
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
    server_names: [localhost]
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem, partner-ca.pem], crls: [client-ca.crl, partner-ca.crl], revocation: soft}
    limits: {connections: 50}
  - name: public
    listen: 127.0.0.1:0
    client_cert: request
    strict: false
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
  - name: gateway
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    forwarded:
      format: rfc9440
      gateway: {anchors: [gateway-ca.pem], names: [gateway.acme.example]}
      trust: {anchors: [client-ca.pem]}
`

const siteUsers = `mappings:
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem}
  - {id: orders-2026, user: orders-api, uri: "spiffe://acme/ns/prod/sa/orders", issuer: client-ca.pem, ports: [internal]}
  - {id: partner-2026, user: partner, fingerprint: "%s"}
  - {id: old-partner, user: partner, subject: "CN=old-partner,O=Partner", issuer: partner-ca.pem, disabled: true}
`

const sitePolicy = `p, group:admins, admin, *, /*, allow
p, group:auditors, admin, GET, /*, allow
p, group:staff, internal, GET|POST, /orders/*, allow
p, user:orders-api, internal, GET, /orders/{id}, allow
p, user:partner, internal, GET, /orders/*, allow
p, user:newcomer, internal, GET, /orders/*, allow
p, user:mallory, *, *, /orders/*, deny
p, group:Anonymous, public, GET, /whoami, allow
g, user:alice, group:admins
g, user:carol, group:auditors
g, user:alice, group:staff
g, user:mallory, group:staff
`

// pkiFolder has the test certificates.
const pkiFolder = "../../testdata/pki"

// reportPath takes the reports of the browser about violations of the content security policy.
const reportPath = "/csp-report"

// site is a server with its admin page on the port admin.
type site struct {
	testing.TB
	dir     string
	server  *mtlsguard.Server
	page    *admin.Page
	addr    map[string]string
	roots   *x509.CertPool
	mu      sync.Mutex
	reports []string          // violations of the content security policy
	streams atomic.Int64      // of events, since the start
	open    atomic.Int64      // streams now
	extra   map[string]string // pages of the test beside those of the admin page
}

func newSite(tb testing.TB) *site {
	tb.Helper()
	s := &site{TB: tb, dir: tb.TempDir(), addr: map[string]string{}, extra: map[string]string{}}
	for _, name := range []string{"server.pem", "server-key.pem", "client-ca.pem", "partner-ca.pem", "gateway-ca.pem", "client-ca.crl", "partner-ca.crl"} {
		data, err := os.ReadFile(filepath.Join(pkiFolder, name))
		if err != nil {
			tb.Fatal(err)
		}
		s.put(name, string(data))
	}
	ends := time.Now().Add(12 * 24 * time.Hour).UTC().Format(time.RFC3339)
	s.put("mtlsguard.yaml", siteConfig)
	s.put("users.yaml", fmt.Sprintf(siteUsers, trust.FingerprintOf(s.pair("partner").Cert))+"  - {id: brief, user: auditor, subject: \"CN=auditor,O=Elsewhere\", issuer: client-ca.pem, not_after: "+ends+"}\n")
	s.put("policy.csv", sitePolicy)
	var err error
	if s.page, err = admin.New(admin.Config{Title: "Orders", Edit: true}); err != nil {
		tb.Fatal(err)
	}
	ready := make(chan struct{})
	s.server, err = mtlsguard.Open(filepath.Join(s.dir, "mtlsguard.yaml"), mtlsguard.Options{
		Observe: s.page.Observe, OnHandshake: s.page.OnHandshake, Ready: func() { close(ready) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.page.Watch(s.server)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(ctx, http.HandlerFunc(s.serve)) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		tb.Fatal(err)
	}
	for _, p := range s.server.Ports() {
		s.addr[p.Name()] = p.Addr().String()
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(s.pair("server-ca").Cert)
	return s
}

// origin returns the beginning of the page's URLs.
func (s *site) origin() string {
	return "https://localhost" + strings.TrimPrefix(s.addr["admin"], "127.0.0.1")
}

// serve serves the page on its port, where violations of its content security policy are
// reported, and an API on the others.
func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	if id, _ := identity.FromContext(r.Context()); id.Port != "admin" {
		_, _ = io.WriteString(w, "order")
		return
	}
	if r.URL.Path == reportPath {
		report, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
		s.mu.Lock()
		s.reports = append(s.reports, string(report))
		s.mu.Unlock()
		return
	}
	reporting := &reportingWriter{ResponseWriter: w}
	if body, ok := s.extra[r.URL.Path]; ok {
		reporting.Header().Set("Content-Security-Policy", "default-src 'self'")
		reporting.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(reporting, body)
		return
	}
	if r.URL.Path == "/api/v1/events" {
		s.streams.Add(1)
		s.open.Add(1)
		defer s.open.Add(-1)
	}
	s.page.Handler().ServeHTTP(reporting, r)
}

// takeReports returns the violations that were reported since the last call.
func (s *site) takeReports() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.reports
	s.reports = nil
	return out
}

// reportingWriter adds the address for reports to the content security policy.
type reportingWriter struct {
	http.ResponseWriter
	wrote bool
}

func (w *reportingWriter) WriteHeader(code int) {
	if h := w.Header(); !w.wrote && h.Get("Content-Security-Policy") != "" {
		h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; report-uri "+reportPath)
	}
	w.wrote = true
	w.ResponseWriter.WriteHeader(code)
}

func (w *reportingWriter) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController flush.
func (w *reportingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *site) put(name, content string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}
