package ports_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// A program's setting stays in effect if it is stricter than the port's limits.
func TestConfigureKeepsWhatIsStricter(t *testing.T) {
	t.Parallel()
	limits := ports.Limits{Headers: 10 * time.Second, Idle: time.Minute, Request: 30 * time.Second, HeaderBytes: 65_536, Streams: 100}
	for _, row := range []struct {
		name string
		set  func(*http.Server)
		want string
	}{
		{"nothing", func(*http.Server) {}, "headers 10s idle 1m0s read 30s write 30s bytes 65216 streams 100"},
		{"stricter", func(s *http.Server) {
			s.ReadHeaderTimeout, s.IdleTimeout, s.ReadTimeout, s.WriteTimeout = time.Second, 2*time.Second, 3*time.Second, 4*time.Second
			s.MaxHeaderBytes, s.HTTP2 = 8192, &http.HTTP2Config{MaxConcurrentStreams: 7}
		}, "headers 1s idle 2s read 3s write 4s bytes 7872 streams 7"},
		{"laxer", func(s *http.Server) {
			s.ReadHeaderTimeout, s.IdleTimeout, s.ReadTimeout, s.WriteTimeout = time.Hour, time.Hour, time.Hour, time.Hour
			s.MaxHeaderBytes, s.HTTP2 = 1<<20, &http.HTTP2Config{MaxConcurrentStreams: 1000}
		}, "headers 10s idle 1m0s read 30s write 30s bytes 65216 streams 100"},
		{"none, as net/http spells it", func(s *http.Server) {
			s.ReadHeaderTimeout, s.IdleTimeout, s.ReadTimeout, s.WriteTimeout = -1, -1, -1, -1
		}, "headers 10s idle 1m0s read 30s write 30s bytes 65216 streams 100"},
		{"ReadTimeout for all three", func(s *http.Server) { s.ReadTimeout = 5 * time.Second },
			"headers 5s idle 5s read 5s write 30s bytes 65216 streams 100"},
	} {
		c, _ := config(t, ports.Request)
		c.Limits = limits
		srv := &http.Server{}
		row.set(srv)
		if err := newPort(t, c).Configure(srv); err != nil {
			t.Errorf("%s: Configure: %v", row.name, err)
			continue
		}
		got := fmt.Sprintf("headers %s idle %s read %s write %s bytes %d streams %d", srv.ReadHeaderTimeout, srv.IdleTimeout, srv.ReadTimeout, srv.WriteTimeout, srv.MaxHeaderBytes, srv.HTTP2.MaxConcurrentStreams)
		if got != row.want {
			t.Errorf("%s:\n%s, want\n%s", row.name, got, row.want)
		}
	}
}

// Configure returns an error for a setting that the port does not support, and leaves the server
// unchanged.
func TestConfigureRejectsWhatItCannotKeep(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		set  func(*http.Server)
		want string
	}{
		"a small MaxHeaderBytes": {func(s *http.Server) { s.MaxHeaderBytes = 1000 }, "MaxHeaderBytes is 1000"},
		"no protocol":            {func(s *http.Server) { s.Protocols = new(http.Protocols) }, "neither HTTP1 nor HTTP2"},
		"a certificate":          {func(s *http.Server) { s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{server}} }, "Certificates is not honoured"},
		"client certificates":    {func(s *http.Server) { s.TLSConfig = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert} }, "ClientAuth is not honoured"},
		"a callback": {func(s *http.Server) {
			s.TLSConfig = &tls.Config{VerifyConnection: func(tls.ConnectionState) error { return nil }}
		}, "VerifyConnection is not honoured"},
		"a higher version": {func(s *http.Server) { s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13} }, "set Config.MinVersion"},
		"cipher suites": {func(s *http.Server) {
			s.TLSConfig = &tls.Config{CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
		}, "set Config.TLS.CipherSuites"},
		"curves":           {func(s *http.Server) { s.TLSConfig = &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}} }, "set Config.TLS.CurvePreferences"},
		"no sessions":      {func(s *http.Server) { s.TLSConfig = &tls.Config{SessionTicketsDisabled: true} }, "set Config.TLS.SessionTicketsDisabled"},
		"another protocol": {func(s *http.Server) { s.TLSConfig = &tls.Config{NextProtos: []string{"h2", "acme-tls/1"}} }, `NextProtos has "acme-tls/1"`},
		"two things, both listed": {func(s *http.Server) {
			s.TLSConfig = &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
		}, "MaxVersion is lower"},
	} {
		c, _ := config(t, ports.Require)
		srv := &http.Server{}
		row.set(srv)
		err := newPort(t, c).Configure(srv)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
		if srv.ConnContext != nil || srv.Handler != nil {
			t.Errorf("%s: the server was changed", name)
		}
	}
	c, _ := config(t, ports.Require)
	c.TLS = &tls.Config{CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, NextProtos: []string{"x/1"}}
	c.MinVersion = tls.VersionTLS12
	same := &tls.Config{CipherSuites: c.TLS.CipherSuites, NextProtos: []string{"h2", "http/1.1", "x/1"}, MinVersion: tls.VersionTLS12}
	if err := newPort(t, c).Configure(&http.Server{TLSConfig: same}); err != nil {
		t.Errorf("the port's own settings: %v", err)
	}
}

// A server that supports one protocol gets only connections of that one, also from clients that
// prefer the other.
func TestConfigureKeepsTheProtocols(t *testing.T) {
	t.Parallel()
	only := func(set func(*http.Protocols, bool)) *http.Protocols {
		p := new(http.Protocols)
		set(p, true)
		return p
	}
	h1, h2 := only((*http.Protocols).SetHTTP1), only((*http.Protocols).SetHTTP2)
	noH2 := &http.Server{TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	for name, row := range map[string]struct {
		srv  *http.Server
		want string
	}{
		"both":                  {&http.Server{}, "HTTP/2.0"},
		"HTTP/1":                {&http.Server{Protocols: h1}, "HTTP/1.1"},
		"HTTP/2":                {&http.Server{Protocols: h2}, "HTTP/2.0"},
		"HTTP/1, the older way": {noH2, "HTTP/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := config(t, ports.Require)
			p := newPort(t, c)
			row.srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })
			url := serveOwn(t, p, row.srv)
			client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: serverCA.Pool(), Certificates: []tls.Certificate{alice.TLS()}}}}
			defer client.CloseIdleConnections()
			res, err := client.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if body, _ := io.ReadAll(res.Body); string(body) != row.want {
				t.Errorf("got %s, want %s", body, row.want)
			}
		})
	}
	c, _ := config(t, ports.Require)
	p := newPort(t, c)
	if err := p.Configure(&http.Server{Protocols: h1}); err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(&http.Server{Protocols: h2}); err == nil || !strings.Contains(err.Error(), "supports none of") {
		t.Errorf("two servers with nothing in common: %v", err)
	}
}

// WriteTimeout of the program bounds an answer that its client does not read, in HTTP/1 and 2.
func TestConfigureKeepsWriteTimeout(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]testkit.ClientOption{"HTTP/1.1": func(*http.Transport) {}, "HTTP/2": testkit.HTTP2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := config(t, ports.Require)
			ended := make(chan error, 1)
			url := serveOwn(t, newPort(t, c), &http.Server{WriteTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				block := make([]byte, 64<<10)
				for {
					if _, err := w.Write(block); err != nil {
						ended <- err
						return
					}
				}
			})})
			res, err := testkit.Client(t, serverCA.Pool(), alice, option).Get(url)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			bufio.NewReader(res.Body).ReadByte()
			select {
			case <-ended:
			case <-time.After(patience):
				t.Error("the answer has no end")
			}
		})
	}
}

// serveOwn serves a port with an http.Server, and returns its URL.
func serveOwn(t *testing.T, p *ports.Port, srv *http.Server) string {
	t.Helper()
	l, err := p.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(srv); err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return "https://localhost:" + strings.Split(l.Addr().String(), ":")[1] + "/"
}
