package probe_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/probe"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
)

// server starts a TLS server of net/http. Its alerts are those of crypto/tls.
func server(t *testing.T, ca *testpki.Pair, change func(*tls.Config), h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server().TLS()}}
	s.Config.ErrorLog = nil
	if change != nil {
		change(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// The refusing side is recognized in both versions of TLS.
func TestRefusingSideIsReported(t *testing.T) {
	t.Parallel()
	ca, clients := testpki.NewCA("Server CA"), testpki.NewCA("Client CA")
	alice, late, untrusted := clients.Leaf("alice").TLS(), clients.Leaf("late", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}).TLS(), testpki.NewCA("Other").Leaf("untrusted").TLS()
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	ok := answer(200, "text/plain", "hello")
	verify := func(mode tls.ClientAuthType) func(*tls.Config) {
		return func(c *tls.Config) { c.ClientAuth, c.ClientCAs = mode, clients.Pool() }
	}
	problem := `{"type":"x","title":"Not allowed","status":403,"reason":"no-rule","reference":"abc"}`
	for _, row := range []struct {
		name      string
		change    func(*tls.Config)
		handler   http.HandlerFunc
		who       *tls.Certificate
		roots     *x509.CertPool
		side      probe.Side
		stage     probe.Stage // in TLS 1.3; a TLS 1.2 server verifies in the handshake
		reason    reason.Reason
		requested bool
	}{
		{"no certificate is requested", nil, ok, &alice, ca.Pool(), probe.NoSide, probe.Answered, "", false},
		{"alice", verify(tls.RequireAndVerifyClientCert), ok, &alice, ca.Pool(), probe.NoSide, probe.Answered, "", true},
		{"no certificate where it is optional", verify(tls.VerifyClientCertIfGiven), ok, nil, ca.Pool(), probe.NoSide, probe.Answered, "", true},
		{"no certificate where it is required", verify(tls.RequireAndVerifyClientCert), ok, nil, ca.Pool(), probe.Server, probe.Request, reason.NoCertificate, true},
		{"expired", verify(tls.RequireAndVerifyClientCert), ok, &late, ca.Pool(), probe.Server, probe.Request, reason.Expired, true},
		{"unknown authority", verify(tls.RequireAndVerifyClientCert), ok, &untrusted, ca.Pool(), probe.Server, probe.Request, reason.UnknownAuthority, true},
		{"a problem document of mtlsguard", nil, answer(403, "application/problem+json; charset=utf-8", problem), nil, ca.Pool(), probe.Server, probe.Answered, reason.NoRule, false},
		{"another problem document", nil, answer(403, "application/problem+json", `{"reason":"rm -rf","title":"x"}`), nil, ca.Pool(), probe.Server, probe.Answered, "", false},
		{"another answer", nil, answer(404, "text/html", "<p>"), nil, ca.Pool(), probe.Server, probe.Answered, "", false},
		{"a server of another authority", nil, ok, &alice, clients.Pool(), probe.Client, probe.Handshake, "", false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			addr := server(t, ca, func(c *tls.Config) {
				c.MaxVersion = version
				if row.change != nil {
					row.change(c)
				}
			}, row.handler)
			r := probe.Run(t.Context(), probe.Config{Addr: addr, Certificate: row.who, Roots: row.roots, Method: "GET", Path: "/"})
			stage := row.stage
			if version == tls.VersionTLS12 && stage == probe.Request {
				stage = probe.Handshake
				if row.who == nil {
					row.reason = reason.NoCertificate // the server requested a certificate; its alert is handshake_failure or bad_certificate
				}
			}
			if r.RefusedBy != row.side || r.Stage != stage || r.Requested != row.requested || r.Reason != row.reason && !(version == tls.VersionTLS12 && row.who == nil) {
				t.Errorf("%s, %s: %q at %s, %q, requested %t: %v", row.name, tls.VersionName(version), r.RefusedBy, r.Stage, r.Reason, r.Requested, r.Err)
			}
			if (r.Err == nil) != (row.side == probe.NoSide || r.Stage == probe.Answered) {
				t.Errorf("%s: got %v", row.name, r.Err)
			}
		}
	}
}

// With IgnoreUntrusted, the probe continues after an untrusted certificate.
func TestUntrustedServerIsInspectedOnRequest(t *testing.T) {
	t.Parallel()
	ca, clients := testpki.NewCA("Server CA"), testpki.NewCA("Client CA")
	addr := server(t, ca, func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequestClientCert, clients.Pool() }, func(http.ResponseWriter, *http.Request) {})
	r := probe.Run(t.Context(), probe.Config{Addr: addr, Roots: clients.Pool(), IgnoreUntrusted: true, Method: "GET", Path: "/"})
	if r.UntrustedErr == nil || r.Stage != probe.Answered || len(r.Chain) == 0 || len(r.Authorities) != 1 || string(r.Authorities[0]) != string(clients.Cert.RawSubject) {
		t.Errorf("got %+v", r)
	}
}

// A server that does not use TLS, or closes the connection, ends the probe early.
func TestServerWithoutTLSEndsTheProbe(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		answer string
		stage  probe.Stage
		plain  bool
	}{
		{"closes at once", "", probe.Handshake, false},
		{"answers with plain HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", probe.Handshake, true},
		{"answers with another protocol", "220 mail.example ESMTP\r\n", probe.Handshake, false},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Read(make([]byte, 4096))
				io.WriteString(c, row.answer)
				c.Close()
			}
		}()
		r := probe.Run(t.Context(), probe.Config{Addr: l.Addr().String(), Method: "GET", Path: "/"})
		if r.RefusedBy != probe.Network || r.Stage != row.stage || r.PlainHTTP != row.plain || r.Err == nil {
			t.Errorf("%s: got %+v", row.name, r)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, and no answer comes
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if r := probe.Run(t.Context(), probe.Config{Addr: l.Addr().String(), Timeout: 200 * time.Millisecond}); r.RefusedBy != probe.Network || r.Err == nil {
		t.Errorf("a silent server: %+v", r)
	}
}

// An endless body is read up to the limit.
func TestEndlessAnswerIsTruncated(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Server CA")
	addr := server(t, ca, nil, func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			if _, err := io.WriteString(w, strings.Repeat("x", 1<<16)); err != nil {
				return
			}
		}
	})
	r := probe.Run(t.Context(), probe.Config{Addr: addr, Roots: ca.Pool(), Method: "GET", Path: "/"})
	if r.Answer == nil || len(r.Answer.Body) > 1<<17 {
		t.Errorf("got %+v", r)
	}
}
