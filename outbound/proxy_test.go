package outbound_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mtlsguard/mtlsguard/outbound"
)

// testProxy is a proxy for CONNECT that records its requests.
type testProxy struct {
	*httptest.Server
	tunnels, certificates atomic.Int64
	mu                    sync.Mutex
	password, header      string
	early                 string // bytes that it sends after its answer, before the server can
	status                int
}

// newTestProxy starts a proxy over TCP or TLS. Over TLS it requests a certificate.
func newTestProxy(t *testing.T, secure bool) *testProxy {
	p := &testProxy{status: http.StatusOK}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.password, p.header = r.Header.Get("Proxy-Authorization"), r.Header.Get("X-Tunnel")
		early, status := p.early, p.status
		p.mu.Unlock()
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			p.certificates.Add(1)
		}
		if r.Method != http.MethodConnect || status != http.StatusOK {
			rw.WriteHeader(max(status, 400))
			return
		}
		p.tunnels.Add(1)
		server, err := net.Dial("tcp", r.Host)
		if err != nil {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		client, _, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"+early)
		go func() { io.Copy(server, client); server.Close() }()
		io.Copy(client, server)
		client.Close()
	}))
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		p.TLS = &tls.Config{Certificates: []tls.Certificate{server.TLS()}, ClientAuth: tls.RequestClientCert}
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p
}

func (p *testProxy) use(r *http.Request) (*url.URL, error) { return url.Parse(p.URL) }

// The identity is presented through the proxy, and never to it.
// Covers J6.
func TestProxySeesNoCertificate(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for _, v := range versions {
			p := newTestProxy(t, secure)
			t.Run(p.URL[:5]+" "+v.name, func(t *testing.T) {
				t.Parallel()
				w, s := newFixture(t, "alice", "bob"), serve(t, nil, v.options...)
				w.config.MustBeAsked = true // for the server, not for the proxy
				w.config.Base = &http.Transport{
					Proxy: func(*http.Request) (*url.URL, error) {
						u, err := p.use(nil)
						u.User = url.UserPassword("proxy", "secret")
						return u, err
					},
					ProxyConnectHeader: http.Header{"X-Tunnel": {"yes"}},
				}
				transport := w.transport()
				c := &http.Client{Transport: transport}
				for range 2 {
					for _, alias := range []string{"alice", "bob"} {
						wantBody(t, as(t, alias), c, s.URL, alias)
					}
				}
				wantBody(t, outbound.AsNobody(t.Context()), c, s.URL, "anonymous")
				if p.tunnels.Load() != 3 || p.certificates.Load() != 0 {
					t.Errorf("%d tunnels, %d certificates at the proxy", p.tunnels.Load(), p.certificates.Load())
				}
				if p.password != "Basic cHJveHk6c2VjcmV0" || p.header != "yes" {
					t.Errorf("the proxy got %q, %q", p.password, p.header)
				}
				for _, h := range w.takeEvents() {
					if h.Origin != s.URL || !strings.Contains(h.Proxy, "proxy:xxxxx@") || strings.Contains(h.Proxy, "secret") {
						t.Errorf("got %+v, want the origin, and the proxy without its password", h)
					}
				}
			})
		}
	}
}

// A proxy that fails or cannot be verified makes the call fail, and no call bypasses it.
// Covers J6.
func TestFailingProxyFailsTheCall(t *testing.T) {
	// Not parallel: the proxy of another test could get the port of the closed one.
	s := serve(t, nil)
	for _, row := range []struct {
		name   string
		proxy  func(*http.Request) (*url.URL, error)
		change func(*testProxy)
	}{
		{"refuses", nil, func(p *testProxy) { p.status = 407 }},
		{"bytes before the tunnel", nil, func(p *testProxy) { p.early = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" }},
		{"closed", nil, func(p *testProxy) { p.Close() }},
		{"the proxy function fails", func(*http.Request) (*url.URL, error) { return nil, errFault }, nil},
		{"of another scheme", func(*http.Request) (*url.URL, error) { return url.Parse("socks5://127.0.0.1:1") }, nil},
		{"without a host", func(*http.Request) (*url.URL, error) { return url.Parse("http://:1") }, nil},
	} {
		p := newTestProxy(t, false)
		w := newFixture(t, "alice")
		w.config.Base = &http.Transport{Proxy: p.use}
		if row.proxy != nil {
			w.config.Base.Proxy = row.proxy
		} else {
			row.change(p)
		}
		got, err := get(as(t, "alice"), w.client(), s.URL)
		if e, ok := errors.AsType[*outbound.Error](err); !ok || e.Alias != "alice" {
			t.Errorf("%s: got %q, %v; want an error of alias alice", row.name, got, err)
		}
	}
	secure := newTestProxy(t, true)
	w := newFixture(t, "alice")
	w.config.Roots, w.config.Base = clientCA.Pool(), &http.Transport{Proxy: secure.use}
	if got, err := get(as(t, "alice"), w.client(), s.URL); err == nil || secure.tunnels.Load() != 0 {
		t.Errorf("an untrusted proxy: %q, %v", got, err)
	}
	if s.requests.Load() != 0 {
		t.Error("the server was called without the proxy")
	}
}

// The environment's proxy is used only if Base sets it.
// Covers J6.
func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	p := newTestProxy(t, false)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(name, p.URL)
	}
	t.Setenv("NO_PROXY", "")
	w, s := newFixture(t, "alice"), serve(t, nil)
	s.TLS.Certificates = []tls.Certificate{serverCA.Server(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4zero} }).TLS()}
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	// net/http uses no proxy for loopback addresses; this address reaches loopback too.
	wantBody(t, as(t, "alice"), w.client(), "https://0.0.0.0:"+port, "alice")
	if p.tunnels.Load() != 0 {
		t.Errorf("%d tunnels", p.tunnels.Load())
	}
	// The test's environment does work. (net/http reads it once per process, so a second run
	// finds that the first run's proxy is gone.)
	w.config.Base = &http.Transport{Proxy: http.ProxyFromEnvironment}
	if _, err := get(as(t, "alice"), w.client(), "https://0.0.0.0:"+port); p.tunnels.Load() != 1 && (err == nil || !strings.Contains(err.Error(), "proxyconnect")) {
		t.Errorf("%v, %d tunnels", err, p.tunnels.Load())
	}
}

// Plain http without a certificate uses the base's proxy.
// Covers J6.
func TestPlainHTTPThroughAProxyHasNoCertificate(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	p := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		seen <- r.URL.String() + " " + clientName(r)
	}))
	defer p.Close()
	p.TLS.ClientAuth = tls.RequestClientCert
	w := newFixture(t, "alice")
	w.config.Roots = nil
	w.config.Base = p.Client().Transport.(*http.Transport).Clone()
	w.config.Base.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(p.URL) }
	if _, err := get(outbound.AsNobody(t.Context()), w.client(), "http://partner.invalid/x"); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "http://partner.invalid/x anonymous" {
		t.Error(got)
	}
}
