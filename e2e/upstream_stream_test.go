package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// dialTLS opens a connection to a port with a certificate, for requests that no client writes.
func (l *live) dialTLS(port string, holder *testpki.Pair) (*tls.Conn, *bufio.Reader) {
	l.Helper()
	pair := holder.TLS()
	c, err := tls.Dial("tcp", strings.TrimPrefix(l.url(port, ""), "https://"), &tls.Config{RootCAs: l.serve.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{pair}})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(testkit.Patience))
	return c, bufio.NewReader(c)
}

// echo switches to the protocol that the request names, and sends back what it gets.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/no" {
		http.Error(w, "no", http.StatusUpgradeRequired)
		return
	}
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nUser: %s\r\n\r\n", r.Header.Get("Upgrade"), r.Header.Get("X-Mtlsguard-User"))
	_, _ = io.Copy(c, buffered)
}

const upgradeRequest = "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, X-Mtlsguard-User\r\nUpgrade: %s\r\n\r\n"

// An upgrade that is listed becomes a connection in both directions, until no byte moves or the
// certificate is revoked. One that is not listed, and one that the service refuses, leave none.
// Covers Y6.
func TestUpgradesToAnUpstream(t *testing.T) {
	t.Parallel()
	s := newUpstreamSite(t, service(t, echo), "upgrades: [websocket]", "timeout: 2s", "idle: 2s")
	l := s.start(mtlsguard.Options{})
	c, in := l.dialTLS("internal", s.alice)
	fmt.Fprintf(c, upgradeRequest, "/ws", "WebSocket")
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("User") != "alice" {
		t.Fatalf("answered %v, %v; want 101 for alice", res, err)
	}
	for _, text := range []string{"first\n", "second\n"} {
		_, _ = io.WriteString(c, text)
		if got, err := in.ReadString('\n'); got != text {
			t.Fatalf("got %q, %v; want the echo of %q", got, err, text)
		}
	}
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil && os.IsTimeout(err) {
		t.Errorf("a silent connection: %q %v", rest, err)
	}

	c, in = l.dialTLS("internal", s.alice)
	fmt.Fprintf(c, upgradeRequest, "/ws", "websocket")
	if res, err = http.ReadResponse(in, nil); err != nil || res.StatusCode != 101 {
		t.Fatal(err)
	}
	s.put("ca.crl", s.crl(2, s.alice))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() { // bytes move: it is the certificate that ends it
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				_, _ = io.WriteString(c, "x")
			}
		}
	}()
	if _, err := io.Copy(io.Discard, in); err != nil && os.IsTimeout(err) {
		t.Errorf("after revocation: %v", err)
	}

	s.put("ca.crl", s.crl(3))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		path, protocol string
		status         int
	}{{"/ws", "h2c", 501}, {"/ws", "chat", 501}, {"/no", "websocket", 426}} {
		c, in := l.dialTLS("public", s.alice)
		fmt.Fprintf(c, upgradeRequest+"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n", row.path, row.protocol)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != row.status {
			t.Fatalf("%s %s: answered %v, %v; want %d", row.path, row.protocol, res, err, row.status)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil && os.IsTimeout(err) {
			t.Errorf("%s %s: after the refusal: %q %v", row.path, row.protocol, rest, err)
		}
	}
}

// h2cService starts a service that supports only HTTP/2 without TLS.
func h2cService(tb testing.TB, h http.HandlerFunc) string {
	server := httptest.NewUnstartedServer(h)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	tb.Cleanup(server.Close)
	tb.Cleanup(server.CloseClientConnections)
	return "h2c" + strings.TrimPrefix(server.URL, "http")
}

// A call like those of gRPC passes: messages in both directions at one time, and a status in the
// trailers, announced or not.
func TestStreamsAndTrailersOfAnH2CUpstream(t *testing.T) {
	t.Parallel()
	l := newUpstreamSite(t, h2cService(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" || r.Header.Get("X-Mtlsguard-User") != "alice" {
			t.Errorf("the service got %s with %v, want HTTP/2 with Te: trailers, as alice", r.Proto, r.Header)
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		_ = http.NewResponseController(w).Flush()
		for in := bufio.NewReader(r.Body); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				break
			}
			_, _ = io.WriteString(w, "re: "+line)
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", r.Trailer.Get("Sum"))
	})).start(mtlsguard.Options{})
	up, write := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", l.url("internal", "/orders.Orders/Watch"), up)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Te", "trailers")
	r.Header.Set("Content-Type", "application/grpc")
	r.Trailer = http.Header{"Sum": nil}
	res, err := l.client(l.alice, testkit.HTTP2).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	for _, text := range []string{"one\n", "two\n"} {
		_, _ = io.WriteString(write, text)
		if got, err := in.ReadString('\n'); got != "re: "+text {
			t.Fatalf("got %q, %v; want the answer to %q", got, err, text)
		}
	}
	r.Trailer.Set("Sum", "2")
	write.Close()
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil || res.Trailer.Get("Grpc-Status") != "0" || res.Trailer.Get("Grpc-Message") != "2" {
		t.Errorf("got %q, %v, trailers %v; want the end, Grpc-Status 0 and Grpc-Message 2", rest, err, res.Trailer)
	}
}

// Events arrive one by one, and large bodies whole, with the length that they had.
func TestEventsAndLargeBodiesOfAnUpstream(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	l := newUpstreamSite(t, service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			w.Header().Set("Content-Type", "text/event-stream")
			for range 2 {
				_, _ = io.WriteString(w, "data: x\n\n")
				_ = http.NewResponseController(w).Flush()
				<-more
			}
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Length", fmt.Sprint(r.ContentLength))
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body)
	})).start(mtlsguard.Options{})
	big := bytes.Repeat([]byte("0123456789abcdef"), 512<<10) // 8 MiB
	for _, options := range [][]testkit.ClientOption{nil, {testkit.HTTP2}} {
		c := l.client(l.alice, options...)
		res, err := c.Get(l.url("internal", "/events"))
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(res.Body)
		for range 2 {
			if got, err := in.ReadString('\n'); got != "data: x\n" {
				t.Errorf("got %q, %v; want an event", got, err)
			}
			_, _ = in.ReadString('\n')
			more <- struct{}{}
		}
		res.Body.Close()
		for _, body := range []io.Reader{bytes.NewReader(big), io.MultiReader(bytes.NewReader(big))} {
			r, _ := http.NewRequestWithContext(t.Context(), "PUT", l.url("internal", "/big"), body)
			r.Header.Set("Expect", "100-continue")
			want := fmt.Sprint(r.ContentLength)
			if r.ContentLength == 0 {
				want = "-1" // unknown
			}
			res, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || !bytes.Equal(got, big) || res.ContentLength != int64(len(big)) || res.Header.Get("Length") != want {
				t.Errorf("%d bytes, length %d, sent with %s, want %s: %v", len(got), res.ContentLength, res.Header.Get("Length"), want, err)
			}
		}
	}
}

// With Expect a body is asked for only if the service asks for it.
func TestContinueIsTheUpstreams(t *testing.T) {
	t.Parallel()
	l := newUpstreamSite(t, service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/yes" {
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(body)
			return
		}
		http.Error(w, "no", http.StatusRequestEntityTooLarge)
	})).start(mtlsguard.Options{})
	for path, want := range map[string]string{"/yes": "HTTP/1.1 100 Continue\r\n", "/no": "HTTP/1.1 413 Request Entity Too Large\r\n"} {
		c, in := l.dialTLS("internal", l.alice)
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", path)
		if got, err := in.ReadString('\n'); got != want {
			t.Fatalf("%s: got %q, %v; want %q", path, got, err, want)
		}
		if path == "/yes" {
			_, _ = in.ReadString('\n')
			_, _ = io.WriteString(c, "body")
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(res.Body); string(body) != "body" {
				t.Errorf("the service got %q, want body", body)
			}
		}
	}
}

// A request in the body of another, or behind it, reaches the service as part of that body or not
// at all: whatever the lengths say, whenever the service answers.
// Covers K13, Y6.
func TestBodiesNeverBecomeRequestsOfAnUpstream(t *testing.T) {
	t.Parallel()
	var smuggled atomic.Int64
	l := newUpstreamSite(t, service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/smuggled" {
			smuggled.Add(1)
		}
		if r.URL.Path == "/early" {
			http.Error(w, "early", http.StatusForbidden)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})).start(mtlsguard.Options{})
	const inner = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\nX-Mtlsguard-User: root\r\n\r\n"
	for _, row := range []struct{ name, request string }{
		{"length and chunks", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner},
		{"two lengths", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: 90\r\n\r\n" + inner},
		{"a length with a sign", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +0\r\n\r\n" + inner},
		{"chunked twice", "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner},
		{"a spelling of chunked", "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner},
		{"a blank before the colon", "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner},
		{"a bad chunk", "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n" + inner},
		{"a bare line feed in a chunk", "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nx\r\n0\r\n\r\n" + inner},
		{"Connection names the length", "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Content-Length\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\n\r\n" + inner},
		{"Connection names Transfer-Encoding", "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inner), inner)},
		{"a GET with a body", "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\n\r\n" + inner},
		{"an early answer to a whole body", "POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\n\r\n" + inner},
		{"an early answer, and the body in the next record", "POST /early HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + fmt.Sprint(len(inner)+1<<20) + "\r\n\r\n|" + inner + strings.Repeat("x", 1<<20)},
		{"Expect and a body at once", "POST /early HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\n\r\n" + inner},
		{"an upgrade that is refused", "GET /early HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + inner},
		{"a line break in a header", "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\tc\r\nConnection: close\r\n\r\n" + inner},
		{"HTTP/1.0 with chunks", "POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, in := l.dialTLS("internal", l.alice)
			go func() {
				for part := range strings.SplitSeq(row.request, "|") {
					_, _ = io.WriteString(c, part)
				}
				_ = c.CloseWrite()
			}()
			if _, err := io.Copy(io.Discard, in); err != nil && os.IsTimeout(err) {
				t.Errorf("the connection stays open: %v", err)
			}
			if status, _, body := send(t, l.client(l.bob), "GET", l.url("internal", "/")); status != 200 { // the service's connections are still in order
				t.Errorf("bob got %d %s, want 200", status, body)
			}
		})
	}
	t.Cleanup(func() {
		if n := smuggled.Load(); n != 0 {
			t.Errorf("%d smuggled requests reached the service", n)
		}
	})
}

// Callers on one HTTP/2 connection and many services' connections are never mixed, also while the
// configuration is replaced; and no request is lost.
// Covers Y7.
func TestReloadsUnderLoadLoseNoRequest(t *testing.T) {
	t.Parallel()
	answer := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", name, r.Header.Get("X-Mtlsguard-User"), body)
		}
	}
	first, second := service(t, answer("first")), service(t, answer("second"))
	s := newUpstreamSite(t, first)
	// While the first service is in effect only /first is allowed, and /second with the second.
	policy := func(name string) string { return "p, group:Everybody, *, *, /" + name + ", allow\n" }
	s.put("policy.csv", policy("first"))
	l := s.start(mtlsguard.Options{})
	stop := make(chan struct{})
	var load sync.WaitGroup
	var served, refused atomic.Int64
	for i, holder := range []*testpki.Pair{s.alice, s.bob, s.alice, s.bob} {
		c := l.client(holder, [][]testkit.ClientOption{nil, {testkit.HTTP2}}[i%2]...)
		user := holder.Cert.Subject.CommonName
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				path := []string{"first", "second"}[n%2]
				res, err := c.Post(l.url("internal", "/"+path), "text/plain", strings.NewReader(fmt.Sprint(i, n)))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				switch want := fmt.Sprintf("%s %s %d %d", path, user, i, n); {
				case res.StatusCode == 403:
					refused.Add(1)
				case res.StatusCode != 200 || string(body) != want || err != nil:
					t.Errorf("%d %q, want %q, %v", res.StatusCode, body, want, err)
					return
				default:
					served.Add(1)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	for i := range 12 {
		was, name := []string{first, second}[i%2], []string{"second", "first"}[i%2]
		now := map[string]string{"first": first, "second": second}[name]
		s.put("mtlsguard.yaml", strings.ReplaceAll(s.get("mtlsguard.yaml"), was, now))
		s.put("policy.csv", policy(name))
		if err := l.server.Reload(); err != nil {
			t.Error(err)
		}
		wantServed, wantRefused := served.Load()+2, refused.Load()+2
		testkit.Eventually(t, "requests between two reloads", func() bool {
			return served.Load() >= wantServed && refused.Load() >= wantRefused || t.Failed()
		})
	}
	close(stop)
	load.Wait()
}

// The service on another machine is verified, and knows the server by its certificate. Both are
// replaced by a reload.
// Covers Y5.
func TestUpstreamWithTLS(t *testing.T) {
	t.Parallel()
	services, clients := testpki.NewCA("Service CA"), testpki.NewCA("Proxies CA")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s for %s by %s", r.Proto, r.Header.Get("X-Mtlsguard-User"), r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{services.Server().TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool()}
	server.StartTLS()
	t.Cleanup(server.Close)
	url := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	s := newUpstreamSite(t, url, "anchors: [service-ca.pem]", "certificate: {cert: proxy.pem, key: proxy-key.pem}")
	put := func(name string) {
		proxy := clients.Leaf(name)
		s.put("proxy.pem", string(proxy.CertPEM()))
		s.put("proxy-key.pem", string(proxy.KeyPEM()))
	}
	put("proxy")
	s.put("service-ca.pem", string(services.CertPEM()))
	l := s.start(mtlsguard.Options{})
	c := l.client(s.alice)
	if status, _, body := send(t, c, "GET", l.url("internal", "/")); body != "HTTP/2.0 for alice by proxy" {
		t.Errorf("got %d %s, want the answer for alice by proxy", status, body)
	}
	put("renewed")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if status, _, body := send(t, c, "GET", l.url("internal", "/")); body != "HTTP/2.0 for alice by renewed" {
		t.Errorf("got %d %s, want the answer for alice by renewed", status, body)
	}
	found := false
	for _, e := range l.server.Inventory().Files {
		found = found || strings.HasSuffix(e.Name, "proxy.pem")
	}
	if !found {
		t.Error("the certificate is not watched")
	}
	s.put("service-ca.pem", string(s.other.CertPEM()))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if status, _, body := send(t, c, "GET", l.url("internal", "/")); status != 502 {
		t.Errorf("an authority that is not trusted: %d %s", status, body)
	}
	testkit.Eventually(t, "the line", func() bool { return len(l.log.find("event", "upstream", "error", "unknown authority")) == 1 })
}

// The server is ready when the service is healthy, and no longer when two checks have failed.
// A reload alone changes nothing.
func TestHealthOfAnUpstream(t *testing.T) {
	t.Parallel()
	var status atomic.Int64
	status.Store(503)
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != "/healthz?deep=1" || r.Method != "GET" || r.Header["X-Mtlsguard-User"] != nil {
			t.Errorf("the service got %s %s with %v, want a health check without a user", r.Method, r.RequestURI, r.Header)
		}
		w.WriteHeader(int(status.Load()))
	})
	s := newUpstreamSite(t, url, `health: "/healthz?deep=1"`)
	l := s.start(mtlsguard.Options{})
	ready := func() string {
		w := httptest.NewRecorder()
		l.server.Readiness().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		return fmt.Sprint(w.Code, " ", w.Body)
	}
	testkit.Eventually(t, "not ready", func() bool { // both ports have been checked
		text, what := ready(), ": the upstream "+url+" is not healthy: GET /healthz?deep=1: the status is 503"
		return strings.Contains(text, "port internal"+what) && strings.Contains(text, "port public"+what)
	})
	status.Store(204)
	testkit.Eventually(t, "ready", func() bool { return strings.HasPrefix(ready(), "200 ready") })
	s.sub("mtlsguard.yaml", "health:", "retries: 2, health:")
	if err := l.server.Reload(); err != nil || !strings.HasPrefix(ready(), "200 ready") {
		t.Errorf("after a reload: %s %v", ready(), err)
	}
	status.Store(500)
	testkit.Eventually(t, "not ready again", func() bool { return strings.Contains(ready(), "the status is 500") })
	testkit.Eventually(t, "the lines", func() bool {
		return len(l.log.find("event", "upstream", "outcome", "failed", "error", "503")) == 2 && len(l.log.find("event", "upstream", "outcome", "ok")) == 2 && len(l.log.find("event", "upstream", "outcome", "failed", "error", "500")) > 0
	})
}

// A service that takes no more of a body, or sends no more of an answer, ends its request alone.
// More requests than the limit are 503.
// Covers Y3.
func TestStalledUpstreamHoldsNoRequest(t *testing.T) {
	t.Parallel()
	for _, h2c := range []bool{false, true} {
		release := make(chan struct{})
		h := func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/answer" {
				_, _ = io.WriteString(w, "begin")
				_ = http.NewResponseController(w).Flush()
			}
			if r.URL.Path != "/" {
				select {
				case <-release:
				case <-time.After(testkit.Patience):
				}
			}
		}
		url := ""
		if h2c {
			url = h2cService(t, h)
		} else {
			url = service(t, h)
		}
		t.Cleanup(func() { close(release) })
		l := newUpstreamSite(t, url, "timeout: 1s", "idle: 1s", "requests: 2", "caller_share: 100").start(mtlsguard.Options{})
		c := l.client(l.alice)
		r, _ := http.NewRequestWithContext(t.Context(), "POST", l.url("internal", "/upload"), io.LimitReader(zeros{}, 64<<20))
		if res, err := c.Do(r); err == nil { // else the connection was closed while the body was sent
			if res.StatusCode != 504 {
				t.Errorf("h2c %t: %s", h2c, res.Status)
			}
			res.Body.Close()
		}
		testkit.Eventually(t, "the line of the upload", func() bool {
			return len(l.log.find("event", "upstream", "path", "/upload", "error", "no byte has moved")) == 1
		})
		var bodies []*http.Response
		for range 2 {
			res, err := c.Get(l.url("internal", "/answer"))
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, res)
		}
		if status, h, body := send(t, c, "GET", l.url("internal", "/")); status != 200 && status != 503 {
			t.Errorf("h2c %t: the third request: %d %v %s", h2c, status, h, body)
		}
		for _, res := range bodies {
			if _, err := io.ReadAll(res.Body); err == nil {
				t.Error("half an answer looks complete")
			}
			res.Body.Close()
		}
		testkit.Eventually(t, "places are free again", func() bool {
			status, _, _ := send(t, c, "GET", l.url("internal", "/"))
			return status == 200
		})
	}
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Requests beyond the limit are refused at once.
func TestUpstreamTakesALimitedNumberOfRequests(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 4), make(chan struct{})
	l := newUpstreamSite(t, service(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-release
	}), "requests: 1").start(mtlsguard.Options{})
	done := make(chan int, 1)
	go func() {
		res, err := l.client(l.alice).Get(l.url("internal", "/"))
		if err != nil {
			done <- 0
			return
		}
		res.Body.Close()
		done <- res.StatusCode
	}()
	<-begun
	res, err := l.client(l.alice).Get(l.url("internal", "/"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" {
		t.Errorf("got %s with %v, want 503 and Retry-After: 1", res.Status, res.Header)
	}
	close(release)
	if status := <-done; status != 200 {
		t.Errorf("the first: %d, want 200", status)
	}
}

// A caller that breaks its body off, or sends a malformed one, is no failure of the service.
func TestCallersBodyIsNoFailureOfTheUpstream(t *testing.T) {
	t.Parallel()
	l := newUpstreamSite(t, service(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })).start(mtlsguard.Options{})
	c, in := l.dialTLS("internal", l.alice)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n")
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 400 || !res.Close {
		t.Errorf("answered %v, %v; want 400 and the end of the connection", res, err)
	}
	c, _ = l.dialTLS("internal", l.alice)
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhello")
	c.Close()
	if status, _, body := send(t, l.client(l.alice), "GET", l.url("internal", "/")); status != 200 {
		t.Errorf("got %d %s, want 200", status, body)
	}
	l.end()
	if lines := l.log.find("event", "upstream"); len(lines) > 0 {
		t.Errorf("logged %v, want no failure of the service", lines)
	}
}

// A service takes back the place of a handler that the program does not have, until a reload
// removes it: that is an error.
func TestServeWithoutHandlerNeedsUpstreams(t *testing.T) {
	t.Parallel()
	url := service(t, func(http.ResponseWriter, *http.Request) {})
	s := newUpstreamSite(t, url)
	l := s.start(mtlsguard.Options{})
	s.sub("mtlsguard.yaml", fmt.Sprintf("    upstream: {url: %q}\n", url), "")
	if err := l.server.Reload(); err == nil || !strings.Contains(err.Error(), `port "internal" has no upstream`) {
		t.Errorf("got %v, want the port without an upstream as an error", err)
	}
	if status, _, body := send(t, l.client(l.alice), "GET", l.url("internal", "/")); status != 200 {
		t.Errorf("got %d %s, want 200", status, body)
	}
}
