package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/reason"
)

// newUpstreamSite returns a site whose two ports forward to url, with more settings in YAML.
// Everybody may send any request.
func newUpstreamSite(tb testing.TB, url string, settings ...string) *site {
	s := newSite(tb)
	s.handler = nil
	text := fmt.Sprintf("    upstream: {url: %q%s}\n", url, strings.Join(append([]string{""}, settings...), ", "))
	s.sub("mtlsguard.yaml", "    strict: true\n", "    strict: true\n"+text)
	s.sub("mtlsguard.yaml", "    strict: false\n", "    strict: false\n"+text)
	s.put("policy.csv", "p, group:Everybody, *, *, /*, allow\ng, user:alice, group:staff\n")
	return s
}

// service starts a service on a loopback address.
func service(tb testing.TB, h http.HandlerFunc) string {
	server := httptest.NewServer(h)
	tb.Cleanup(server.Close)
	tb.Cleanup(server.CloseClientConnections)
	return server.URL
}

// headers answers with the headers of the request, and its target.
func headers(w http.ResponseWriter, r *http.Request) {
	r.Header.Set("Target", r.RequestURI)
	r.Header.Set("Host", r.Host)
	_ = json.NewEncoder(w).Encode(r.Header)
}

// send sends a request and returns the status and the body, as headers if it is JSON.
func send(tb testing.TB, c *http.Client, method, url string, set ...string) (int, http.Header, string) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(set); i += 2 {
		r.Header[set[i]] = append(r.Header[set[i]], set[i+1]) // in this spelling
	}
	res, err := c.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	h := http.Header{}
	_ = json.Unmarshal(body, &h)
	return res.StatusCode, h, string(body)
}

// The service gets the caller in headers, and nothing that the caller has sent in their place,
// in any spelling, on HTTP/1.1 and HTTP/2. Connection removes none of them.
// Covers Y1, Y2.
func TestUpstreamGetsTheCallerAndNoForgery(t *testing.T) {
	t.Parallel()
	l := newUpstreamSite(t, service(t, headers)).start(mtlsguard.Options{})
	forged := []string{
		"X-Mtlsguard-User", "root", "x-mtlsguard-groups", "admin", "X_Mtlsguard_User", "root", "x.mtlsguard.user", "root", "X-Mtlsguard-Anything", "root",
		"Client-Cert", ":AAAA:", "client_cert", ":AAAA:", "Client-Cert-Chain", ":AAAA:", "X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "http", "X_Forwarded_Host", "evil",
		"Forwarded", "for=192.0.2.1", "X-Real-Ip", "192.0.2.1", "X-Forwarded-User", "root", "Remote-User", "root", "X-Original-Url", "/admin", "X-Rewrite-Url", "/admin",
		"X-Http-Method-Override", "DELETE", "X-Forwarded-Prefix", "/admin", "Accept-Language", "de",
	}
	for _, options := range [][]testkit.ClientOption{nil, {testkit.HTTP2}} {
		set := forged
		if options == nil {
			set = append([]string{"Connection", "X-Mtlsguard-User, x-mtlsguard-groups", "Connection", "Client-Cert,X-Forwarded-For, close"}, forged...)
		}
		status, got, body := send(t, l.client(l.alice, options...), "GET", l.url("internal", "/a%25b;c?x=1;y=%zz&z"), set...)
		if status != 200 {
			t.Fatalf("got %d %s, want 200", status, body)
		}
		for name, want := range map[string]string{
			"X-Mtlsguard-User": "alice", "X-Mtlsguard-Groups": "Authenticated,Everybody,staff", "Client-Cert": ":" + base64.StdEncoding.EncodeToString(l.alice.Cert.Raw) + ":",
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": strings.TrimPrefix(l.url("internal", ""), "https://"),
			"Host": strings.TrimPrefix(l.url("internal", ""), "https://"), "Target": "/a%25b;c?x=1;y=%zz&z", "Accept-Language": "de",
		} {
			if values := got[name]; len(values) != 1 || values[0] != want {
				t.Errorf("%s: %q, want %q", name, values, want)
			}
			delete(got, name)
		}
		for name := range got {
			if name != "User-Agent" && name != "Accept-Encoding" && name != "Target" && name != "Via" {
				t.Errorf("the service got %s: %q", name, got[name])
			}
		}
	}
	if _, got, body := send(t, l.client(nil), "GET", l.url("public", "/"), forged...); got.Get("X-Mtlsguard-User") != "Default" || got.Get("X-Mtlsguard-Groups") != "Anonymous,Everybody" || got["Client-Cert"] != nil {
		t.Errorf("anonymous: %s", body)
	}
}

// A refused request reaches no service.
// Covers Y8.
func TestRefusedRequestReachesNoUpstream(t *testing.T) {
	t.Parallel()
	s := newUpstreamSite(t, service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/orders/7" {
			t.Errorf("%s reached the service", r.URL.Path)
		}
	}))
	s.put("policy.csv", sitePolicy)
	l := s.start(mtlsguard.Options{})
	c := l.client(l.bob)
	for _, path := range []string{"/orders/7", "/other", "/orders/../x"} {
		if status, _, body := send(t, c, "GET", l.url("internal", path)); status < 400 {
			t.Errorf("%s: got %d %s, want a refusal", path, status, body)
		}
	}
	alice := l.client(l.alice)
	for _, path := range []string{"/orders/..;x", "/orders/.;", "/orders/..%3b", "/;x/orders/7", "/orders/%3bx/7", "/orders/;"} { // a servlet container serves another path
		if status, _, body := send(t, alice, "GET", l.url("internal", path)); status != 400 {
			t.Errorf("%s: got %d %s, want 400", path, status, body)
		}
	}
	if status, _, body := send(t, alice, "GET", l.url("internal", "/orders/7")); status != 200 {
		t.Errorf("alice: %d %s", status, body)
	}
}

// The headers have the names of the file. A caller cannot send them on any port, nor as trailers.
// Covers Y1.
func TestUpstreamHeadersHaveTheirOwnNames(t *testing.T) {
	t.Parallel()
	l := newUpstreamSite(t, service(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for name := range r.Trailer {
			r.Header["Trailer-"+name] = r.Trailer[name]
		}
		headers(w, r)
	}), `headers: {user: Principal, groups: "", certificate: ""}`).start(mtlsguard.Options{})
	_, got, body := send(t, l.client(l.alice), "GET", l.url("internal", "/"), "Principal", "root", "PRINCIPAL", "root", "X-Mtlsguard-User", "root")
	if got.Get("Principal") != "alice" || len(got["Principal"]) != 1 || got["X-Mtlsguard-User"] != nil || got["X-Mtlsguard-Groups"] != nil || got["Client-Cert"] != nil {
		t.Error(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", l.url("internal", "/"), io.MultiReader(strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	r.Trailer = http.Header{"Principal": {"root"}, "Checksum": {"7"}, "Content-Range": {"1"}}
	res, err := l.client(l.alice).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got = http.Header{}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Get("Trailer-Checksum") != "7" || got["Trailer-Principal"] != nil || got["Trailer-Content-Range"] != nil || got.Get("Principal") != "alice" {
		t.Errorf("the service got %v, %v; want the user alice and the trailer Checksum alone", got, err)
	}
}

// A service that is down, breaks off, answers no HTTP or is silent: one answer, one line.
// Covers Y3.
func TestUpstreamThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	garbage := func(answer string) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, answer)
				c.Close()
			}
		}()
		return "http://" + listener.Addr().String()
	}
	silent := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, row := range []struct {
		name, url, settings, method string
		status                      int
		err                         string
		retries                     float64
	}{
		{"down", "http://" + testkit.FreeAddress(t), "", "GET", 502, "connection refused", 1},
		{"down, a POST", "http://" + testkit.FreeAddress(t), "", "POST", 502, "connection refused", 0},
		{"down, retries: 3", "http://" + testkit.FreeAddress(t), "retries: 3", "GET", 502, "connection refused", 3},
		{"no socket", "unix:missing.sock", "", "GET", 502, "missing.sock: connect: no such file", 1},
		{"breaks off", garbage(""), "", "GET", 502, "EOF", 1},
		{"no HTTP", garbage("SSH-2.0-OpenSSH_9\r\n"), "", "GET", 502, "malformed HTTP response", 1},
		{"two lengths", garbage("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456"), "", "GET", 502, "Content-Length", 1},
		{"a status that HTTP does not have", garbage("HTTP/1.1 099 None\r\nContent-Length: 0\r\n\r\n"), "", "GET", 502, "the status is 099", 0},
		{"switches protocols", garbage("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "", "GET", 502, "switch protocol", 0},
		{"silent", service(t, silent), "timeout: 100ms", "GET", 504, "timeout awaiting response headers", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var settings []string
			if row.settings != "" {
				settings = append(settings, row.settings)
			}
			l := newUpstreamSite(t, row.url, settings...).start(mtlsguard.Options{})
			status, _, body := send(t, l.client(l.alice), row.method, l.url("internal", "/orders"))
			var p struct{ Reason, Reference string }
			if err := json.Unmarshal([]byte(body), &p); err != nil || status != row.status || p.Reason != string(reason.Upstream) || len(p.Reference) != 16 {
				t.Fatalf("got %d %s, want %d %s with a reference", status, body, row.status, reason.Upstream)
			}
			testkit.Eventually(t, "the line", func() bool { return len(l.log.find("event", "upstream")) > 0 })
			lines := l.log.find("event", "upstream", "reference", p.Reference, "upstream", row.url, "user", "alice", "path", "/orders", "reason", "upstream", "error", row.err)
			if len(lines) != 1 || len(l.log.find("event", "upstream")) != 1 || lines[0]["status"] != float64(row.status) {
				t.Fatalf("the log is\n%s", l.log.text())
			}
			if retries, _ := lines[0]["retries"].(float64); retries != row.retries {
				t.Errorf("%v retries", retries)
			}
		})
	}
}

// An answer that ends early never looks complete, also to a client of HTTP/1.0, which reads until
// the end.
// Covers Y3.
func TestUpstreamThatBreaksOffItsAnswer(t *testing.T) {
	t.Parallel()
	l := newUpstreamSite(t, service(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})).start(mtlsguard.Options{})
	for _, options := range [][]testkit.ClientOption{nil, {testkit.HTTP2}} {
		res, err := l.client(l.alice, options...).Get(l.url("internal", "/"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil || string(body) != "half" {
			t.Errorf("got %q, %v; want half and an error", body, err)
		}
	}
	pair := l.alice.TLS()
	c, err := tls.Dial("tcp", strings.TrimPrefix(l.url("internal", ""), "https://"), &tls.Config{RootCAs: l.serve.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(testkit.Patience))
	_, _ = io.WriteString(c, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
	if body, err := io.ReadAll(c); err == nil || !strings.HasSuffix(string(body), "half") {
		t.Errorf("HTTP/1.0: %q %v", body, err)
	}
	testkit.Eventually(t, "the lines", func() bool { return len(l.log.find("event", "upstream", "msg", "broken off")) == 3 })
}

// curl reaches a service of Python's, and of nginx's behind a unix socket.
func TestCurlReachesServicesThatAreNotGo(t *testing.T) {
	t.Parallel()
	curl, python := testkit.Program(t, "curl", "curl"), testkit.Python(t)
	addr := testkit.FreeAddress(t)
	_, port, _ := net.SplitHostPort(addr)
	s := newUpstreamSite(t, "http://"+addr)
	s.put("server-ca.pem", string(s.serve.CertPEM()))
	s.put("alice.pem", string(s.alice.CertPEM()))
	s.put("alice-key.pem", string(s.alice.KeyPEM()))
	s.put("hello.txt", "hello from Python\n")
	background(t, exec.Command(python, "-m", "http.server", "--bind", "127.0.0.1", "--directory", s.dir, port), addr)
	l := s.start(mtlsguard.Options{})
	for _, version := range []string{"--http1.1", "--http2"} {
		cmd := exec.Command(curl, "-sS", "-m", "10", version, "--cacert", "server-ca.pem", "--cert", "alice.pem", "--key", "alice-key.pem", l.url("internal", "/hello.txt"))
		cmd.Dir = s.dir
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "hello from Python\n" {
			t.Errorf("%s: got %q, %v; want the answer of Python", version, out, err)
		}
	}
}

// nginx behind a unix socket gets the caller in headers.
// Covers Y1.
func TestNginxBehindAUnixSocket(t *testing.T) {
	t.Parallel()
	nginx := testkit.Program(t, "nginx", "nginx-light")
	s := newUpstreamSite(t, "unix:nginx.sock")
	s.put("nginx.conf", fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/nginx.pid; error_log stderr crit;
events {}
http {
  access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server { listen unix:%[1]s/nginx.sock; location / { return 200 "$http_x_mtlsguard_user at $host$request_uri"; } }
}
`, s.dir))
	background(t, exec.Command(nginx, "-c", s.path("nginx.conf"), "-e", "stderr"), s.path("nginx.sock"))
	l := s.start(mtlsguard.Options{})
	if status, _, body := send(t, l.client(l.alice), "GET", l.url("internal", "/x?y"), "X_Mtlsguard_User", "root"); status != 200 || body != "alice at 127.0.0.1/x?y" {
		t.Errorf("got %d %s, want the answer for alice", status, body)
	}
}

// background runs a program until the test ends, and waits until it listens.
func background(tb testing.TB, cmd *exec.Cmd, addr string) {
	tb.Helper()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		_ = cmd.Process.Signal(syscall.SIGTERM) // nginx ends its workers
		_ = cmd.Wait()                          // an error: the signal has ended it
	})
	network := "tcp"
	if filepath.IsAbs(addr) {
		network = "unix"
	}
	testkit.Eventually(tb, cmd.Path+" listens", func() bool {
		c, err := net.Dial(network, addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}
