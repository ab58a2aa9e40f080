// Package testsite serves a small configuration on loopback for the tests of prom and otel:
// three ports, the allowed user alice and the denied user bob.
package testsite

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

const config = `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [ca.pem], crls: [ca.crl]}
    limits: {drain: 1s}
  - name: public
    listen: 127.0.0.1:0
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [ca.pem]}
    limits: {drain: 1s}
  - name: gateway
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    forwarded:
      format: rfc9440
      trust: {anchors: [ca.pem]}
      gateway: {anchors: [gateways.pem], names: [gateway.example]}
    limits: {drain: 1s}
`

const users = `mappings:
  - {id: alice, user: alice, subject: "CN=alice", issuer: ca.pem}
  - {id: bob, user: bob, subject: "CN=bob", issuer: ca.pem}
`

const policy = `p, user:alice, *, GET, /*, allow
p, user:bob, *, *, /*, deny
`

// Site is a configuration in a folder of its own.
type Site struct {
	testing.TB
	Dir                string
	CA, Other, Gateway *testpki.Pair // the authorities of clients, of untrusted clients and of gateways
	Alice, Bob         *testpki.Pair
	server             *testpki.Pair
}

// New writes the configuration.
func New(tb testing.TB) *Site {
	s := &Site{TB: tb, Dir: tb.TempDir(), CA: testpki.NewCA("Client CA"), Other: testpki.NewCA("Other CA"), server: testpki.NewCA("Server CA")}
	s.Gateway = testpki.NewCA("Gateway CA", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(365 * 24 * time.Hour) }) // earlier than the other certificates
	s.Alice, s.Bob = s.CA.Leaf("alice"), s.CA.Leaf("bob")
	own := s.server.Server()
	s.Put("server.pem", string(own.CertPEM()))
	s.Put("server-key.pem", string(own.KeyPEM()))
	s.Put("ca.pem", string(s.CA.CertPEM()))
	s.Put("gateways.pem", string(s.Gateway.CertPEM()))
	s.Put("ca.crl", string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: s.CA.CRL(1, nil).Raw})))
	s.Put("users.yaml", users)
	s.Put("policy.csv", policy)
	s.Put("mtlsguard.yaml", config)
	return s
}

// Path returns the path of a file of the folder.
func (s *Site) Path(name string) string { return filepath.Join(s.Dir, name) }

// Put writes a file.
func (s *Site) Put(name, content string) {
	s.Helper()
	if err := os.WriteFile(s.Path(name), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

// Follow moves the users into a store, which holds one generation, and returns the store.
func (s *Site) Follow() *sourcetest.Memory {
	s.Helper()
	store := sourcetest.NewMemory("orders")
	files := fstest.MapFS{"users.yaml": {Data: []byte(strings.ReplaceAll(users, "ca.pem", "../ca.pem"))}}
	g, err := source.Next(nil, source.Manifest{Fleet: "orders", Author: "anna"}, files)
	if err != nil {
		s.Fatal(err)
	}
	if err := store.Commit(s.Context(), g); err != nil {
		s.Fatal(err)
	}
	s.Put("mtlsguard.yaml", strings.Replace(config, "users: ", "source: {mount: fleet, keep: keep, unsigned: true}\nusers: fleet/", 1))
	return store
}

// Open opens the configuration.
func (s *Site) Open(options mtlsguard.Options) *mtlsguard.Server {
	s.Helper()
	server, err := mtlsguard.Open(s.Path("mtlsguard.yaml"), options)
	if err != nil {
		s.Fatal(err)
	}
	return server
}

// Serve runs serve until the test ends. It returns when serve has called ready.
func (s *Site) Serve(serve func(ctx context.Context, ready func()) error) {
	s.Helper()
	ready, ended := make(chan struct{}), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- serve(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		s.Fatal(err)
	}
	s.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.Error(err)
		}
	})
}

// Client returns a client with a certificate, or without one if pair is nil. It makes a new
// connection for each request.
func (s *Site) Client(pair *testpki.Pair) *http.Client {
	t := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: s.server.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(8)}}
	if pair != nil {
		own := pair.TLS()
		t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	}
	s.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: 10 * time.Second}
}

// Request sends a request to a port and returns the status, or 0 without an answer.
func (s *Site) Request(c *http.Client, server *mtlsguard.Server, port, path string, header ...string) int {
	s.Helper()
	for _, p := range server.Ports() {
		if p.Name() != port {
			continue
		}
		r, err := http.NewRequest("GET", fmt.Sprintf("https://%s%s", p.Addr(), path), nil)
		if err != nil {
			s.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		res, err := c.Do(r)
		if err != nil {
			return 0
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	s.Fatalf("there is no port %s", port)
	return 0
}

// Eventually waits until a text contains all of want. It fails with the missing texts.
func (s *Site) Eventually(text func() string, want ...string) string {
	s.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got, missing := text(), ""
		for _, w := range want {
			if !strings.Contains("\n"+got+"\n", w) {
				missing += w + "\n"
			}
		}
		if missing == "" {
			return got
		}
		if time.Now().After(end) {
			s.Fatalf("missing:\n%sin:\n%s", missing, got)
		}
	}
}
