package ports_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Port mode × client certificate × TLS version × HTTP version.
// Covers A9, A20.
func TestEveryModeWithEveryCertificate(t *testing.T) {
	t.Parallel()
	small := testkit.RSAKey(t, 1024)
	now := time.Now()
	revoked := clientCA.Leaf("revoked")
	certificates := []struct {
		name   string
		holder *testpki.Pair // nil sends no certificate
		want   reason.Reason
	}{
		{"none", nil, reason.NoCertificate},
		{"good", alice, ""},
		{"untrusted", otherCA.Leaf("alice"), reason.UnknownAuthority},
		{"self-signed", testpki.Make(nil, testpki.NewKey(), &x509.Certificate{Subject: alice.Cert.Subject, ExtKeyUsage: alice.Cert.ExtKeyUsage}), reason.UnknownAuthority},
		{"expired", clientCA.Leaf("alice", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }), reason.Expired},
		{"not yet valid", clientCA.Leaf("alice", func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }), reason.NotYetValid},
		{"wrong usage", clientCA.Leaf("alice", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), reason.WrongUsage},
		{"an authority", clientCA.SubCA("alice"), reason.NotALeaf},
		{"weak", clientCA.LeafWithKey("alice", small), reason.WeakKey},
		{"revoked", revoked, reason.Revoked},
		{"too large", clientCA.Leaf("alice", func(c *x509.Certificate) {
			for i := range 101 {
				c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.example", i))
			}
		}), reason.TooLarge},
	}
	for _, mode := range []ports.ClientAuth{ports.None, ports.Request, ports.Require} {
		c, e := config(t, mode)
		if mode != ports.None {
			c.Trust = byClientCA(t, revoked)
		}
		p := serving(t, c)
		for _, row := range certificates {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				for _, proto := range []string{"http/1.1", "h2"} {
					t.Run(fmt.Sprintf("%v/%s/%s/%s", mode, row.name, tls.VersionName(version), proto), func(t *testing.T) {
						cc := clientConfig(row.holder, func(c *tls.Config) {
							c.MinVersion, c.MaxVersion, c.NextProtos = version, version, []string{proto}
						})
						served := mode == ports.None || row.want == "" || row.holder == nil && mode == ports.Request
						if !served {
							h, _ := refused(t, p, e, cc, row.want)
							presentedIs(t, h, row.holder)
							return
						}
						body, own, err := dialAndGet(t, p, cc)
						caller := string(reason.NoCertificate)
						if mode != ports.None && row.holder != nil {
							caller = "alice"
						}
						want := fmt.Sprintf("%v %s %s", mode, caller, map[string]string{"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1"}[proto])
						if err != nil || body != want {
							t.Fatalf("%q, %v; want %q", body, err, want)
						}
						h := e.of(t, own.local)
						if h.Reason != "" || h.Err != nil || h.Version != version || h.Port != mode.String() || h.ServerName != "localhost" {
							t.Errorf("event %+v", h)
						}
						if mode == ports.None {
							presentedIs(t, h, nil)
						} else {
							presentedIs(t, h, row.holder)
						}
					})
				}
			}
		}
	}
}

func presentedIs(t *testing.T, h ports.Handshake, holder *testpki.Pair) {
	t.Helper()
	if holder == nil && len(h.Presented) != 0 || holder != nil && (len(h.Presented) == 0 || !h.Presented[0].Equal(holder.Cert)) {
		t.Errorf("the event has %d certificates, not the presented ones", len(h.Presented))
	}
	if h.Duration <= 0 {
		t.Errorf("duration %v", h.Duration)
	}
}

// This test checks noCertificateText: with another error text in crypto/tls the reason would
// be bad-certificate.
func TestMissingCertificateHasItsOwnReason(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Require)
	p := serving(t, c)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		own, err := dial(t, p, clientConfig(nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }))
		if err == nil {
			own.SetReadDeadline(time.Now().Add(patience))
			_, err = own.Read(make([]byte, 1))
		}
		alert := "certificate required" // RFC 8446 section 6.2; TLS 1.2 has no such alert
		if version == tls.VersionTLS12 {
			alert = "handshake failure"
		}
		if err == nil || !strings.Contains(err.Error(), alert) {
			t.Errorf("%s: %v, want the alert %q", tls.VersionName(version), err, alert)
		}
		if h := e.of(t, own.local); h.Reason != reason.NoCertificate || h.Version != version {
			t.Errorf("%s: event %+v", tls.VersionName(version), h)
		}
	}
}

// Covers A10.
func TestCertificateWithoutItsKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []ports.ClientAuth{ports.Request, ports.Require} {
		c, e := config(t, mode)
		p := serving(t, c)
		for _, o := range []tlsOption{h1, tls12} {
			stolen := &testpki.Pair{Cert: alice.Cert, Key: testpki.NewKey()}
			refused(t, p, e, clientConfig(stolen, o), reason.BadCertificate)
		}
	}
}

// Covers H8.
func TestHugeCertificateMessageIsRefused(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Require)
	p := serving(t, c)
	huge := clientCA.Leaf("alice", func(c *x509.Certificate) {
		for i := range 7_000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("a-rather-long-name-%d.example", i))
		}
	})
	if n := len(huge.Cert.Raw); n < 200_000 || n > 256<<10 {
		t.Fatalf("made %d bytes", n)
	}
	refused(t, p, e, clientConfig(huge), reason.TooLarge)
	eleven := *alice
	for range 10 {
		eleven.Chain = append(eleven.Chain, clientCA.Cert)
	}
	refused(t, p, e, clientConfig(&eleven), reason.TooLarge)
}

// Covers B13.
func TestGarbageInPlaceOfACertificateIsRefused(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Request)
	p := serving(t, c)
	cc := clientConfig(nil)
	cc.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{[]byte("no certificate")}, PrivateKey: alice.Key}, nil
	}
	refused(t, p, e, cc, reason.BadCertificate)
}

// hiding is a listener of the user around the listener of the port.
type hiding struct{ net.Listener }

func (l hiding) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return struct{ net.Conn }{c}, err
}

// Covers A11.
func TestWrappedListenerHidesTheConnection(t *testing.T) {
	t.Parallel()
	for _, wrap := range []bool{false, true} {
		c, _ := config(t, ports.Require)
		p := newPort(t, c)
		l, err := p.Listen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if wrap {
			l = hiding{l}
		}
		srv := &http.Server{Handler: http.HandlerFunc(echoCaller)}
		if err := p.Configure(srv); err != nil {
			t.Fatal(err)
		}
		go srv.Serve(l)
		t.Cleanup(func() { srv.Close() })
		body, _, err := dialAndGet(t, p, clientConfig(alice, h1))
		want := "require alice HTTP/1.1"
		if wrap {
			want = "no connection"
		}
		if err != nil || body != want {
			t.Errorf("wrapped %v: %q, %v; want %q", wrap, body, err, want)
		}
	}
}

type hookKey struct{}

func TestConfigureKeepsTheUsersHooks(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	c.Limits.Streams = 7
	p := newPort(t, c)
	l, err := p.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan http.ConnState, 100)
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Value(hookKey{}) == nil {
				t.Error("the hook ConnContext is gone")
			}
			echoCaller(w, r)
		}),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return context.WithValue(ctx, hookKey{}, true) },
		ConnState:   func(_ net.Conn, s http.ConnState) { states <- s },
		HTTP2:       &http.HTTP2Config{MaxReadFrameSize: 1 << 20},
	}
	if err := p.Configure(srv); err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	if body, _, err := dialAndGet(t, p, clientConfig(alice)); err != nil || body != "require alice HTTP/2.0" {
		t.Errorf("got %q, %v; want the answer for alice", body, err)
	}
	if len(states) == 0 || srv.HTTP2.MaxReadFrameSize != 1<<20 || srv.HTTP2.MaxConcurrentStreams != 7 {
		t.Error("a hook that was set before is gone")
	}
	// A handler may change r.TLS; the connection's certificates stay.
	if _, ok := ports.FromContext(t.Context()); ok {
		t.Error("a connection in an empty context")
	}
}

// Covers A21, I9.
func TestCertificateRequestNamesTheAnchors(t *testing.T) {
	t.Parallel()
	names := func(p *ports.Port) []string {
		var got []string
		cc := clientConfig(alice)
		cc.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			for _, raw := range i.AcceptableCAs {
				got = append(got, string(raw))
			}
			return &tls.Certificate{}, nil
		}
		dialAndGet(t, p, cc)
		return got
	}
	c, _ := config(t, ports.Request)
	p := serving(t, c)
	if got := names(p); len(got) != 1 || got[0] != string(clientCA.Cert.RawSubject) {
		t.Errorf("names %q", got)
	}
	c.Trust = byOtherCA(t)
	reconfigure(t, p, c)
	if got := names(p); len(got) != 1 || got[0] != string(otherCA.Cert.RawSubject) {
		t.Errorf("names %q after the change", got)
	}
	c.HideAuthorities = true
	reconfigure(t, p, c)
	if got := names(p); len(got) != 0 {
		t.Errorf("HideAuthorities still sends the names %q", got)
	}
	if body, _, err := dialAndGet(t, p, clientConfig(otherCA.Leaf("eve"))); err != nil || !strings.Contains(body, " eve ") {
		t.Errorf("got %q, %v; want the answer for eve", body, err)
	}
}

func TestInvalidConfigurationsAreRejected(t *testing.T) {
	t.Parallel()
	good, _ := config(t, ports.Require)
	for name, change := range map[string]func(*ports.Config){
		"mode not set":   func(c *ports.Config) { c.ClientAuth = 0 },
		"unknown mode":   func(c *ports.Config) { c.ClientAuth = 4 },
		"A7 no trust":    func(c *ports.Config) { c.Trust = nil },
		"B2 for servers": func(c *ports.Config) { c.Trust = forServers(t, c.Trust) },
		"no certificate": func(c *ports.Config) { c.Certificate = nil },
		"no name":        func(c *ports.Config) { c.Name = "" },
		"name of all":    func(c *ports.Config) { c.Name = "*" },
		"address":        func(c *ports.Config) { c.Addr = "8443" },
		"A22 TLS 1.1":    func(c *ports.Config) { c.MinVersion = tls.VersionTLS11 },
		"negative":       func(c *ports.Config) { c.Limits.Handshake = -1 },
		"negative count": func(c *ports.Config) { c.Limits.PerIP = -1 },
		"header bytes":   func(c *ports.Config) { c.Limits.HeaderBytes = 100 },
	} {
		c := good
		change(&c)
		if p, err := ports.New(c); err == nil || p != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := ports.New(ports.Config{}); strings.Count(fmt.Sprint(err), "\n") < 3 {
		t.Errorf("not every error is reported: %v", err)
	}
	for a, want := range map[ports.ClientAuth]string{ports.None: "none", ports.Request: "request", ports.Require: "require", 0: "ClientAuth(0)"} {
		if a.String() != want {
			t.Errorf("String of %d is %q, want %q", int(a), a, want)
		}
	}
}

// forServers returns a verifier for servers with the same anchors.
func forServers(tb testing.TB, v *trust.Verifier) *trust.Verifier {
	tb.Helper()
	servers, err := trust.New(trust.Config{Anchors: v.Anchors(), Usage: trust.UsageServer})
	if err != nil {
		tb.Fatal(err)
	}
	return servers
}
