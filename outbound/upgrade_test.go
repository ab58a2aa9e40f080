package outbound_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/outbound"
)

// handleUpgrade answers 101 and echoes lines after the client's name.
func handleUpgrade(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "lines" || r.ProtoMajor != 1 {
		http.Error(rw, "no upgrade over "+r.Proto, http.StatusBadRequest)
		return
	}
	conn, in, err := rw.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprintf(conn, "%s %s", clientName(r), line)
	}
}

func upgradeRequest(r *http.Request) *http.Request {
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "lines")
	return r
}

// An upgraded connection is readable and writable, counts as a call until it is closed, and
// uses HTTP/1.1 also with a server that supports HTTP/2.
func TestUpgradedConnectionCountsAsACall(t *testing.T) {
	t.Parallel()
	w, s := newFixture(t, "alice"), serve(t, handleUpgrade)
	transport := w.transport()
	r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", s.URL, nil)
	response, err := transport.RoundTrip(upgradeRequest(r))
	if err != nil {
		t.Fatal(err)
	}
	both, ok := response.Body.(io.ReadWriteCloser)
	if response.StatusCode != http.StatusSwitchingProtocols || !ok {
		t.Fatalf("got %s with a body of type %T, want 101 and a ReadWriteCloser", response.Status, response.Body)
	}
	in := bufio.NewReader(both)
	for range 2 {
		io.WriteString(both, "hello\n")
		if got, err := in.ReadString('\n'); got != "alice hello\n" {
			t.Errorf("got %q, %v; want the echo for alice", got, err)
		}
	}
	w.put(w.credential("alice", clientCA.Leaf("alice")))
	if got, err := get(as(t, "alice"), &http.Client{Transport: transport}, s.URL); !strings.Contains(got, "HTTP/2.0") {
		t.Errorf("got %q, %v; want HTTP/2", got, err)
	}
	io.WriteString(both, "still\n")
	if got, err := in.ReadString('\n'); got != "alice still\n" {
		t.Errorf("after the rotation: %q, %v", got, err)
	}
	if got := transport.Stats(); got.Retiring != 1 {
		t.Errorf("got %+v, want one pool that retires", got)
	}
	both.Close()
	if got := transport.Stats(); got.Retiring != 0 {
		t.Errorf("got %+v, want no pool that retires", got)
	}
}

// httputil.ReverseProxy upgrades connections through the Transport.
func TestUpgradeThroughReverseProxy(t *testing.T) {
	t.Parallel()
	w, s := newFixture(t, "alice"), serve(t, handleUpgrade)
	to, _ := url.Parse(s.URL)
	transport := w.transport()
	front := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out = r.Out.WithContext(outbound.As(r.Out.Context(), "alice"))
		},
	})
	defer front.Close()
	r, _ := http.NewRequest("GET", front.URL, nil)
	response, err := http.DefaultTransport.RoundTrip(upgradeRequest(r))
	if err != nil {
		t.Fatal(err)
	}
	both, ok := response.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatal(response.Status)
	}
	io.WriteString(both, "hello\n")
	if got, err := bufio.NewReader(both).ReadString('\n'); got != "alice hello\n" {
		t.Errorf("got %q, %v; want the echo for alice", got, err)
	}
	both.Close()
	testkit.Eventually(t, "the call ends", func() bool { return transport.Stats().InFlight == 0 })
}

// A call ends exactly once, in every way in which it can end.
func TestInFlightCountsCallsUntilTheirBodiesEnd(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		w, s := newFixture(t, "alice"), serve(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/broken" {
				rw.Header().Set("Content-Length", "10")
				rw.Write([]byte("x"))
				rw.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			rw.Write([]byte("some"))
		}, v.options...)
		transport := w.transport()
		for _, row := range []struct {
			name, method, path string
			consume            func(io.ReadCloser)
		}{
			{"read and closed", "GET", "/", func(b io.ReadCloser) { io.ReadAll(b); b.Close(); b.Close() }},
			{"read", "GET", "/", func(b io.ReadCloser) { io.ReadAll(b); io.ReadAll(b) }},
			{"closed", "GET", "/", func(b io.ReadCloser) { b.Close() }},
			{"no body", "HEAD", "/", func(io.ReadCloser) {}},
			{"broken", "GET", "/broken", func(b io.ReadCloser) { io.ReadAll(b) }},
		} {
			r, _ := http.NewRequestWithContext(as(t, "alice"), row.method, s.URL+row.path, nil)
			response, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			if row.method == "GET" && transport.Stats().InFlight != 1 {
				t.Errorf("%s, %s: got %+v, want one call in flight", v.name, row.name, transport.Stats())
			}
			row.consume(response.Body)
			if got := transport.Stats(); got.InFlight != 0 {
				t.Errorf("%s, %s: got %+v, want no call in flight", v.name, row.name, got)
			}
		}
		if _, err := get(as(t, "alice"), &http.Client{Transport: transport}, "https://127.0.0.1:1"); err == nil || transport.Stats().InFlight != 0 {
			t.Errorf("%s: got %v, %+v; want an error and no call in flight", v.name, err, transport.Stats())
		}
	}
}

// http.Client reports an exceeded deadline as a timeout.
func TestExceededDeadlineIsATimeout(t *testing.T) {
	t.Parallel()
	w, done := newFixture(t, "alice"), make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-done })
	defer close(done)
	w.config.Base = &http.Transport{ResponseHeaderTimeout: 1}
	_, err := get(as(t, "alice"), w.client(), s.URL)
	if e, ok := errors.AsType[*url.Error](err); !ok || !e.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}
