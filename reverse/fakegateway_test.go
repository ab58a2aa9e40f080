package reverse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// fakeGateway is a gateway whose messages a test chooses.
type fakeGateway struct {
	addr          string
	registrations chan *http.Request // each registration
	conns         chan *http.ClientConn
}

// newFakeGateway listens with a certificate. It answers a registration with answer; with an
// empty answer it accepts the registration and begins the control exchange.
func newFakeGateway(tb testing.TB, p *testpki.Pair, answer string) *fakeGateway {
	tb.Helper()
	own := p.TLS()
	l := tls.NewListener(listen(tb), &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequestClientCert})
	f := &fakeGateway{addr: l.Addr().String(), registrations: make(chan *http.Request, 100), conns: make(chan *http.ClientConn, 100)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tb.Cleanup(func() { c.Close() })
			go f.serve(tb, c, answer)
		}
	}()
	return f
}

func (f *fakeGateway) serve(tb testing.TB, c net.Conn, answer string) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		c.Close()
		return
	}
	f.registrations <- r
	if answer != "" {
		io.WriteString(c, answer)
		c.Close()
		return
	}
	io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: mtlsguard-tunnel/1\r\n\r\n")
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	t := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) { return struct{ net.Conn }{c}, nil }}
	cc, err := t.NewClientConn(context.Background(), "http", "x:80")
	if err != nil {
		return
	}
	f.conns <- cc
}

// openControl opens the control stream, sends a line, and returns the answer.
func openControl(tb testing.TB, cc *http.ClientConn, line string) *http.Response {
	tb.Helper()
	body, messages := io.Pipe()
	tb.Cleanup(func() { messages.Close() })
	r := must[*http.Request](tb)(http.NewRequest("POST", "http://x/", body))
	r.Header["X-Mtls-Tunnel"] = []string{"control"}
	res := must[*http.Response](tb)(cc.RoundTrip(r))
	io.WriteString(messages, line)
	return res
}

func (f *fakeGateway) serverConfig(tb testing.TB, h http.Handler) reverse.ServerConfig {
	c := (&dmz{}).baseConfig(tb, orders, h, "orders")
	c.Addrs = []string{f.addr}
	c.ServerName = "localhost"
	return c
}

// The server refuses every combination of headers that identifies neither one caller nor the
// absence of a certificate.
// Covers K1.
func TestAmbiguousCallerHeadersAreRefused(t *testing.T) {
	t.Parallel()
	f := newFakeGateway(t, gate, "")
	startServer(t, f.serverConfig(t, newGuard(t).Handler(echo)))
	cc := <-f.conns
	openControl(t, cc, "welcome\n")
	cert := ":" + base64.StdEncoding.EncodeToString(alice.Cert.Raw) + ":"
	for name, tc := range map[string]struct {
		headers []string // name, value
		code    int
		why     reason.Reason
	}{
		"certificate":             {[]string{"X-Mtls-Caller", "certificate", "Client-Cert", cert}, 200, ""},
		"none":                    {[]string{"X-Mtls-Caller", "none"}, 403, reason.NoCertificate},
		"neither":                 {nil, 400, reason.BadHeader},
		"no marker":               {[]string{"Client-Cert", cert}, 400, reason.BadHeader},
		"other marker":            {[]string{"X-Mtls-Caller", "Certificate", "Client-Cert", cert}, 400, reason.BadHeader},
		"empty marker":            {[]string{"X-Mtls-Caller", "", "Client-Cert", cert}, 400, reason.BadHeader},
		"marker twice":            {[]string{"X-Mtls-Caller", "none", "X-Mtls-Caller", "none"}, 400, reason.BadHeader},
		"marker in two spellings": {[]string{"X-Mtls-Caller", "none", "X_mtls_caller", "none"}, 403, reason.NoCertificate},
		"lost":                    {[]string{"X-Mtls-Caller", "certificate"}, 400, reason.BadHeader},
		"both":                    {[]string{"X-Mtls-Caller", "none", "Client-Cert", cert}, 400, reason.BadHeader},
		"twice":                   {[]string{"X-Mtls-Caller", "certificate", "Client-Cert", cert, "Client-Cert", cert}, 400, reason.BadHeader},
		"two spellings":           {[]string{"X-Mtls-Caller", "certificate", "Client-Cert", cert, "Client_Cert", cert}, 400, reason.BadHeader},
		"chain alone":             {[]string{"X-Mtls-Caller", "certificate", "Client-Cert-Chain", cert}, 400, reason.BadHeader},
		"garbage":                 {[]string{"X-Mtls-Caller", "certificate", "Client-Cert", ":AAAA:"}, 400, reason.BadHeader},
		"empty":                   {[]string{"X-Mtls-Caller", "certificate", "Client-Cert", "::"}, 400, reason.BadHeader},
		"other header":            {[]string{"X-Mtls-Caller", "certificate", "X-SSL-Client-Cert", cert}, 400, reason.BadHeader},
		"the gateway's own":       {[]string{"X-Mtls-Caller", "certificate", "Client-Cert", ":" + base64.StdEncoding.EncodeToString(gate.Cert.Raw) + ":"}, 403, reason.UnknownAuthority},
		"too long":                {[]string{"X-Mtls-Caller", "certificate", "Client-Cert", cert, "Client-Cert-Chain", strings.Repeat(cert+", ", 30) + cert}, 400, reason.BadHeader},
	} {
		r := must[*http.Request](t)(http.NewRequest("GET", "http://x/x", nil))
		r.Header["X-Mtls-Tunnel"] = []string{"request"}
		for i := 0; i < len(tc.headers); i += 2 {
			r.Header[tc.headers[i]] = append(r.Header[tc.headers[i]], tc.headers[i+1])
		}
		res, err := cc.RoundTrip(r)
		if err != nil {
			t.Errorf("%s: the request: %v", name, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != tc.code || tc.why != "" && !strings.Contains(string(body), `"reason":"`+string(tc.why)+`"`) {
			t.Errorf("%s: answered %d %s, want %d %s", name, res.StatusCode, body, tc.code, tc.why)
		}
		if strings.Contains(string(body), "Client-Cert") || strings.Contains(string(body), "X-Mtls") {
			t.Errorf("%s: the handler saw %s", name, body)
		}
	}
	for _, kind := range [][]string{nil, {""}, {"other"}, {"request", "request"}, {"control"}} {
		r := must[*http.Request](t)(http.NewRequest("GET", "http://x/x", nil))
		r.Header["X-Mtls-Caller"] = []string{"none"}
		if kind != nil {
			r.Header["X-Mtls-Tunnel"] = kind
		}
		res := must[*http.Response](t)(cc.RoundTrip(r))
		res.Body.Close()
		if res.StatusCode != 400 && res.StatusCode != 409 {
			t.Errorf("kind %q: %d", kind, res.StatusCode)
		}
	}
}
