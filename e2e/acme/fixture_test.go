package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"go.uber.org/zap"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

// name is the name that certificates are issued for. It leads to 127.0.0.1.
const name = "orders.acme.example"

const configuration = `users: users.yaml
policy: policy.csv
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    trust: {anchors: [ca.pem]}
    limits: {drain: 1s}
`

// world is an ACME server, a certmagic client of it, and a port with its certificates.
type world struct {
	testing.TB
	clients, alice *testpki.Pair
	roots          *x509.CertPool // of the ACME server's certificates
	magic          *certmagic.Config
	addr           string // of the port

	mu         sync.Mutex
	handshakes []ports.Handshake
	protocols  []string // of the requests that reached the handler
}

// newWorld returns a world whose port has no certificate yet.
func newWorld(t *testing.T) *world {
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	t.Setenv("PEBBLE_AUTHZREUSE", "0") // every order has a challenge
	w := &world{TB: t, clients: testpki.NewCA("Client CA")}
	w.alice = w.clients.Leaf("alice")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	directory, trusted := w.pebble(port)
	w.newMagic(directory, trusted, port)
	w.serve(l)
	return w
}

// pebble starts an ACME server that validates names on a port, and returns its directory, and the
// roots of its own certificate.
func (w *world) pebble(port int) (directory string, trusted *x509.CertPool) {
	w.Helper()
	quiet := log.New(io.Discard, "", 0)
	free, err := net.Listen("tcp", "127.0.0.1:0") // challtestsrv takes an address only
	if err != nil {
		w.Fatal(err)
	}
	resolver := free.Addr().String()
	free.Close()
	names, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{resolver}, Log: quiet})
	if err != nil {
		w.Fatal(err)
	}
	names.SetDefaultDNSIPv4("127.0.0.1")
	names.SetDefaultDNSIPv6("")
	go names.Run()
	w.Cleanup(names.Shutdown)
	store := db.NewMemoryStore()
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default", ValidityPeriod: 60}})
	front := wfe.New(quiet, store, va.New(quiet, port, port, false, resolver, store), authority, []string{"ca.example"}, false, false, 1, 1)
	own := testpki.NewCA("ACME server")
	server := httptest.NewUnstartedServer(front.Handler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{own.Server().TLS()}}
	server.Config.ErrorLog = quiet
	server.StartTLS()
	w.Cleanup(server.Close)
	root, err := x509.ParseCertificate(authority.GetRootCert(0).DER)
	if err != nil {
		w.Fatal(err)
	}
	w.roots = x509.NewCertPool()
	w.roots.AddCert(root)
	return server.URL + wfe.DirectoryPath, own.Pool()
}

func (w *world) newMagic(directory string, trusted *x509.CertPool, port int) {
	w.Helper()
	storage, err := os.MkdirTemp("", "certmagic") // not of the test: a renewal may still write to it at the end
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { os.RemoveAll(storage) })
	quiet := zap.NewNop()
	cache := certmagic.NewCache(certmagic.CacheOptions{Logger: quiet, RenewCheckInterval: time.Second, GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return w.magic, nil }})
	w.Cleanup(cache.Stop)
	// The certificate has 60 seconds, and is renewed after two of them.
	w.magic = certmagic.New(cache, certmagic.Config{Storage: &certmagic.FileStorage{Path: storage}, Logger: quiet, RenewalWindowRatio: 0.97})
	w.magic.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(w.magic, certmagic.ACMEIssuer{
		CA: directory, TrustedRoots: trusted, Email: "ops@acme.example", Agreed: true, Logger: quiet,
		DisableHTTPChallenge: true, ListenHost: "127.0.0.1", AltTLSALPNPort: port, // the port answers, so certmagic does not
	})}
}

// serve serves the port with certmagic's certificates.
func (w *world) serve(l net.Listener) {
	w.Helper()
	dir := w.TempDir()
	for file, text := range map[string]string{
		"mtlsguard.yaml": configuration, "policy.csv": "p, user:alice, *, GET, /*, allow\n", "ca.pem": string(w.clients.CertPEM()),
		"users.yaml": "mappings:\n  - {id: alice, user: alice, subject: CN=alice, issuer: ca.pem}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			w.Fatal(err)
		}
	}
	ready := make(chan struct{})
	server, err := mtlsguard.Open(filepath.Join(dir, "mtlsguard.yaml"), mtlsguard.Options{
		Certificates: map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error){"internal": w.magic.GetCertificate},
		Listen:       func(context.Context, string, string) (net.Listener, error) { return l, nil },
		Ready:        func() { close(ready) },
		OnHandshake: func(h ports.Handshake) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.handshakes = append(w.handshakes, h)
		},
	})
	if err != nil {
		w.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- server.Serve(ctx, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.protocols = append(w.protocols, r.TLS.NegotiatedProtocol)
		}))
	}()
	w.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	<-ready
}

// obtain obtains the certificate, or renews it.
func (w *world) obtain() {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.magic.ManageSync(ctx, []string{name}); err != nil {
		w.Fatal(err)
	}
}

// get calls the port with a client certificate, or without, and returns the status, and the
// certificate of the server.
func (w *world) get(holder *testpki.Pair) (string, *x509.Certificate) {
	c := &tls.Config{RootCAs: w.roots}
	if holder != nil {
		c.Certificates = []tls.Certificate{holder.TLS()}
	}
	t := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, w.addr)
	}}
	res, err := (&http.Client{Transport: t, Timeout: testkit.Patience}).Get("https://" + name + "/")
	if err != nil {
		return fmt.Sprint("refused: ", err), nil
	}
	res.Body.Close()
	return res.Status, res.TLS.PeerCertificates[0]
}
