package source_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/source"
)

// web is an HTTPS server for clients with a certificate.
type web struct {
	*httptest.Server
	ca, clients *testpki.Pair
}

func newWeb(t *testing.T, h http.Handler) *web {
	w := &web{Server: httptest.NewUnstartedServer(h), ca: testpki.NewCA("Server CA"), clients: testpki.NewCA("Client CA")}
	w.TLS = &tls.Config{Certificates: []tls.Certificate{w.ca.Server().TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: w.clients.Pool()}
	w.StartTLS()
	t.Cleanup(w.Close)
	return w
}

func (w *web) source(t *testing.T) source.Source {
	s, err := source.HTTPS(w.URL+"/fleet/", testkit.Client(t, w.ca.Pool(), w.clients.Leaf("node")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A folder behind an ordinary web server is a source.
func TestWebServerWithAFolder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	store := source.Folder(folder)
	w := newWeb(t, http.StripPrefix("/fleet", http.FileServer(http.Dir(folder))))
	s := w.source(t)
	if _, err := s.Load(t.Context(), nil); !errors.Is(err, source.ErrNone) {
		t.Errorf("an empty folder: %v, want ErrNone", err)
	}
	g := next(t, nil, "users.yaml", "one", "crls/a.crl", "")
	for n := range 3 {
		if err := store.Commit(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		got, err := s.Load(t.Context(), nil)
		if err != nil || !got.Same(g) {
			t.Fatalf("generation %d: %v", n+1, err)
		}
		if got, err = got.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
		data, err := fs.ReadFile(got.FS(), "users.yaml")
		if err != nil || string(data) != []string{"one", "two", "two"}[n] {
			t.Errorf("generation %d: %q, %v", n+1, data, err)
		}
		if again, err := s.Load(t.Context(), got); err != nil || again != got {
			t.Errorf("generation %d is brought again: %v", n+1, err)
		}
		if err := s.Watch(t.Context(), got); !errors.Is(err, source.ErrUnsupported) {
			t.Errorf("watch: %v, want ErrUnsupported", err)
		}
		g = next(t, g, "users.yaml", "two")
	}
}

// A server that waits ends a watch when there is a newer generation. An unchanged generation is not
// sent again.
func TestWebServerThatWaits(t *testing.T) {
	t.Parallel()
	first := next(t, nil, "users.yaml", "one")
	var head atomic.Pointer[source.Generation]
	head.Store(first)
	var full atomic.Int32
	waiting := make(chan struct{}, 1)
	news := make(chan struct{})
	w := newWeb(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		etag := func() string { return `"` + head.Load().Digest().String() + `"` }
		if r.Header.Get("If-None-Match") == etag() && r.Header.Get("Prefer") == "wait=30" {
			waiting <- struct{}{}
			select {
			case <-news:
			case <-r.Context().Done():
			}
		}
		w.Header().Set("ETag", etag())
		if r.Header.Get("If-None-Match") == etag() {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		full.Add(1)
		_, _ = w.Write(head.Load().Encode())
	}))
	s := w.source(t)
	have, err := s.Load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got, err := s.Load(t.Context(), have); err != nil || got != have {
			t.Errorf("load: %v", err)
		}
	}
	if n := full.Load(); n != 1 {
		t.Errorf("the manifest was sent %d times", n)
	}
	result := make(chan error, 1)
	go func() { result <- s.Watch(t.Context(), have) }()
	<-waiting
	head.Store(next(t, first, "users.yaml", "two"))
	close(news)
	if err := <-result; err != nil {
		t.Errorf("watch: %v", err)
	}
	if got, err := s.Load(t.Context(), have); err != nil || got.Manifest.Number != 2 {
		t.Errorf("load: %v", err)
	}
}

// Web servers make the ETag of a file of its size and the second of its change: two generations
// of one second have the same one. The second is seen all the same. The ETag of an older file saves
// the answer.
// Covers S15.
func TestGenerationsOfOneSecondAreSeen(t *testing.T) {
	t.Parallel()
	first := next(t, nil, "users.yaml", "one")
	var head atomic.Pointer[source.Generation]
	var age atomic.Int64 // of the file, in seconds
	var saved atomic.Int32
	w := newWeb(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const etag = `"692ae0c1-3e8"`
		now := time.Now().UTC()
		w.Header().Set("ETag", etag)
		w.Header().Set("Date", now.Format(http.TimeFormat))
		w.Header().Set("Last-Modified", now.Add(-time.Duration(age.Load())*time.Second).Format(http.TimeFormat))
		if r.Header.Get("If-None-Match") == etag {
			saved.Add(1)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(head.Load().Encode())
	}))
	s := w.source(t)
	head.Store(first)
	have, err := s.Load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	head.Store(next(t, first, "users.yaml", "two"))
	if have, err = s.Load(t.Context(), have); err != nil || have.Manifest.Number != 2 {
		t.Fatalf("generation %d, %v", have.Manifest.Number, err)
	}
	age.Store(60)
	for range 2 {
		if have, err = s.Load(t.Context(), have); err != nil || have.Manifest.Number != 2 {
			t.Errorf("got %v, want generation 2", err)
		}
	}
	if n := saved.Load(); n != 1 {
		t.Errorf("%d answers without content, want 1", n)
	}
}

// A web server that breaks the protocol causes an error, and endless answers are not read to their
// end.
func TestHostileWebServer(t *testing.T) {
	t.Parallel()
	stranger := newWeb(t, http.NotFoundHandler())
	for name, x := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"an error":                      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "502 Bad Gateway"},
		"304 for nothing":               {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }, "304 Not Modified"},
		"a page":                        {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "cannot be read"},
		"an answer without end":         {func(w http.ResponseWriter, _ *http.Request) { endless(w) }, "more than 1024 KiB"},
		"a redirect to another origin":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, stranger.URL, http.StatusFound) }, "only redirects to its own origin"},
		"a redirect to HTTP":            {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://"+r.Host, http.StatusFound) }, "only redirects to its own origin"},
		"a redirect to itself, forever": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := newWeb(t, x.answer).source(t).Load(t.Context(), nil); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%v, want %q", err, x.want)
			}
		})
	}
}

func endless(w http.ResponseWriter) {
	for range 100_000 {
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			return
		}
	}
}

// A blob that is not there is fs.ErrNotExist; a server that hangs is left when the context ends.
func TestWebServerWithoutABlob(t *testing.T) {
	t.Parallel()
	g := next(t, nil, "users.yaml", "one")
	var hang atomic.Bool
	w := newWeb(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/fleet/head":
			_, _ = w.Write(g.Encode())
		case hang.Load():
			w.Header().Set("Content-Length", "3")
			_, _ = w.Write([]byte("o"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			http.NotFound(w, r)
		}
	}))
	got, err := w.source(t).Load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got.Fetch(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist", err)
	}
	hang.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := got.Fetch(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want context.DeadlineExceeded", err)
	}
}

func TestOnlyHTTPSURLsAreTaken(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "http://config.acme.example", "config.acme.example", "https://", "https://anna:secret@config.acme.example", "https://config.acme.example/?a", "https://config.acme.example/#a", "file:///etc"} {
		if _, err := source.HTTPS(address, nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want an error without the password", address, err)
		}
	}
	s, err := source.HTTPS("https://localhost:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	var unknown x509.UnknownAuthorityError
	if _, err := s.Load(t.Context(), nil); err == nil || errors.As(err, &unknown) {
		t.Errorf("%v, want a refused connection", err)
	}
}
