package crlfetch_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// world is one authority, a server of its CRL, and a file to keep fresh.
type world struct {
	ca      *testpki.Pair
	source  crlfetch.Source
	fetcher *crlfetch.Fetcher

	mu       sync.Mutex
	received []*http.Request
	serve    http.HandlerFunc
	failed   []crlfetch.Failure
}

// newWorld returns a world whose server listens on loopback.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{ca: testpki.NewCA("Client CA"), fetcher: &crlfetch.Fetcher{}}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.source = crlfetch.Source{URL: server.URL + "/ca.crl", File: filepath.Join(t.TempDir(), "ca.crl"), Anchors: []*x509.Certificate{w.ca.Cert}}
	return w
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.received = append(w.received, r)
	serve := w.serve
	w.mu.Unlock()
	serve(rw, r)
}

func (w *world) use(serve http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serve = serve
}

// give sets the bytes to serve.
func (w *world) give(data []byte) {
	w.use(func(rw http.ResponseWriter, _ *http.Request) { rw.Write(data) }) // a test's server
}

func (w *world) requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.received)
}

func (w *world) recordError(x crlfetch.Failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = append(w.failed, x)
}

// failures returns the reported errors so far.
func (w *world) failures() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []error
	for _, x := range w.failed {
		out = append(out, x.Err)
	}
	return out
}

// reports returns the failures so far, with the progress.
func (w *world) reports() []crlfetch.Failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.failed)
}

// remove removes the file.
func (w *world) remove(t *testing.T) {
	t.Helper()
	if err := os.Remove(w.source.File); err != nil {
		t.Fatal(err)
	}
}

// sent returns a header of every request so far.
func (w *world) sent(name string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, r := range w.received {
		out = append(out, r.Header.Get(name))
	}
	return out
}

func (w *world) list(number int64, options ...func(*x509.RevocationList)) []byte {
	return w.ca.CRL(number, []*big.Int{big.NewInt(number)}, options...).Raw
}

// put writes the file.
func (w *world) put(t *testing.T, data []byte) {
	t.Helper()
	if err := os.WriteFile(w.source.File, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// fetched fetches, and fails on an error.
func (w *world) fetched(t *testing.T) {
	t.Helper()
	if err := w.fetcher.Fetch(t.Context(), w.source); err != nil {
		t.Fatal(err)
	}
}

// refused fetches, and fails unless the error contains why and the file is unchanged.
func (w *world) refused(t *testing.T, why string) {
	t.Helper()
	before, _ := os.ReadFile(w.source.File)
	err := w.fetcher.Fetch(t.Context(), w.source)
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Fatalf("the error is %v, want %q", err, why)
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("the error has unprintable characters: %q", err)
	}
	after, _ := os.ReadFile(w.source.File)
	if !bytes.Equal(before, after) {
		t.Fatal("the file has changed")
	}
	w.alone(t)
}

// holds checks the content of the file.
func (w *world) holds(t *testing.T, data []byte) {
	t.Helper()
	got, err := os.ReadFile(w.source.File)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("the file has another content (%v)", err)
	}
	w.alone(t)
}

// alone checks that the folder holds no other file.
func (w *world) alone(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(w.source.File))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(w.source.File) {
			t.Errorf("%s is left over", e.Name())
		}
	}
}

func inPEM(ders ...[]byte) []byte {
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	return out
}

func dated(this, next time.Duration) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = time.Now().Add(this), time.Now().Add(next)
	}
}
