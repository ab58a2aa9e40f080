package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A body that does not come is the caller's failure: 408, and the connection ends. The service is
// not blamed, and its place is free again.
// Covers Y3.
func TestSlowBodyIsTheCallersFailure(t *testing.T) {
	t.Parallel()
	s := newUpstreamSite(t, service(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }), "requests: 1")
	s.sub("mtlsguard.yaml", "handshake: 5s, drain: 1s", "handshake: 5s, drain: 1s, idle: 300ms")
	l := s.start(mtlsguard.Options{})
	for _, framing := range []string{"Content-Length: 100\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"} {
		c, in := l.dialTLS("internal", l.alice)
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\n"+framing)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != http.StatusRequestTimeout || !res.Close {
			t.Fatalf("%q: answered %v, %v; want 408 and the end of the connection", framing, res, err)
		}
		if _, err := io.Copy(io.Discard, in); err != nil {
			t.Errorf("%q: the connection stays open: %v", framing, err)
		}
		testkit.Eventually(t, "the place is free again", func() bool {
			status, _, _ := send(t, l.client(l.alice), "GET", l.url("internal", "/"))
			return status == 200
		})
	}
	l.end()
	if lines := l.log.find("event", "upstream", "status", "408"); len(lines) > 0 {
		t.Errorf("logged %v, want no failure of the service", lines)
	}
}

// A service may use HTTP/2 without TLS on a unix socket. Covers Y1.
func TestH2CBehindAUnixSocket(t *testing.T) {
	t.Parallel()
	s := newUpstreamSite(t, "unix+h2c:orders.sock")
	listener, err := net.Listen("unix", s.path("orders.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		fmt.Fprintf(w, "%s for %s at %s", r.Proto, strings.Join(r.Header["X-Mtlsguard-User"], "|"), r.RequestURI)
		w.Header().Set("Grpc-Status", "0")
	})}
	server.Protocols.SetUnencryptedHTTP2(true)
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	l := s.start(mtlsguard.Options{})
	for _, options := range [][]testkit.ClientOption{nil, {testkit.HTTP2}} {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", l.url("internal", "/orders.Orders/Get?x"), strings.NewReader("body"))
		r.Header["X_Mtlsguard_User"] = []string{"root"}
		res, err := l.client(l.alice, options...).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != "HTTP/2.0 for alice at /orders.Orders/Get?x" || res.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("got %s, trailers %v; want the answer for alice and Grpc-Status 0", body, res.Trailer)
		}
	}
	server.Close() // closes and removes the socket
	if status, _, body := send(t, l.client(l.alice), "GET", l.url("internal", "/")); status != 502 {
		t.Errorf("without the service: %d %s", status, body)
	}
}

// A request line, host or header that can be read in two ways never reaches the service. Covers E1,
// E5, E6, E14, F3, Y2.
func TestHostileRequestsReachNoUpstream(t *testing.T) {
	t.Parallel()
	l := newUpstreamSite(t, service(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the service got %s %s at %q, %q", r.Method, r.RequestURI, r.Host, r.Header)
	})).start(mtlsguard.Options{})
	const host = "\r\nHost: localhost"
	for _, head := range []string{
		"GET http://localhost/a HTTP/1.1" + host, "GET /a#/../b HTTP/1.1" + host, "GET /a?b#c HTTP/1.1" + host, "GET /a%u002f HTTP/1.1" + host, "GET /%c0%ae HTTP/1.1" + host,
		"GET /a\x01 HTTP/1.1" + host, "GET /a?\x01 HTTP/1.1" + host, "GET  /a HTTP/1.1" + host, "GET\t/a HTTP/1.1" + host, "GET /a HTTP/1.1 x" + host, "GET /a HTTP/0.9" + host,
		"GET /a HTTP/2.0" + host, "PRI * HTTP/1.1" + host, "CONNECT localhost:80 HTTP/1.1" + host, "TRACE /a HTTP/1.1" + host, "GET /a/..%00/ HTTP/1.1" + host, "GET /;/a HTTP/1.1" + host,
		"GET /a HTTP/1.1", "GET /a HTTP/1.0", "GET /a HTTP/1.1\r\nHost:", "GET /a HTTP/1.1\r\nHost: a b", "GET /a HTTP/1.1\r\nHost: a@b", "GET /a HTTP/1.1\r\nHost: a/b", "GET /a HTTP/1.1\r\nHost: a, b",
		"GET /a HTTP/1.1" + host + "\r\nHost: other",
		"GET /a HTTP/1.1" + host + "\r\nX-Mtlsguard-User : root", "GET /a HTTP/1.1" + host + "\r\nX-Mtlsguard-User\x0b: root", "GET /a HTTP/1.1" + host + "\r\nX-Mtlsguard-Us\xe9r: root",
		"GET /a HTTP/1.1" + host + "\r\nX: a\x00b", "GET /a HTTP/1.1" + host + "\r\nX: a\rX-Mtlsguard-User: root",
	} {
		c, in := l.dialTLS("internal", l.alice)
		_, _ = io.WriteString(c, head+"\r\nConnection: close\r\n\r\n")
		if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode < 400 {
			t.Errorf("%q: answered %v, %v; want a refusal", head, res, err)
		}
		c.Close()
	}
}
