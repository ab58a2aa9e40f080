package reverse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// fakeGateway is a gateway whose messages a test chooses.
type fakeGateway struct {
	addr          string
	registrations chan *http.Request // each registration
	conns         chan *http.ClientConn
}

// newFakeGateway listens with a certificate. It answers a registration with answer, or
// accepts it where answer is empty, and begins the control exchange.
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

// The server refuses every combination of headers that does not identify one caller, or the
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
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != tc.code || tc.why != "" && !strings.Contains(string(body), `"reason":"`+string(tc.why)+`"`) {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
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

// The handshake fails before the server sends its registration.
// Covers K3.
func TestServerSendsNothingToARogueGateway(t *testing.T) {
	t.Parallel()
	pinned := gatewayCA.Server()
	expired := gatewayCA.Server(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	wrongName := gatewayCA.Server(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"other.example"}, nil })
	for name, tc := range map[string]struct {
		shows  *testpki.Pair
		change func(*reverse.ServerConfig)
		why    reason.Reason
	}{
		"public authority":          {webCA.Server(), nil, ""},
		"users' authority":          {userCA.Server(), nil, ""},
		"servers' authority":        {serverCA.Server(), nil, ""},
		"other name":                {wrongName, nil, ""},
		"expired":                   {expired, nil, ""},
		"no usage":                  {gatewayCA.Server(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), nil, reason.WrongUsage},
		"any usage":                 {gatewayCA.Server(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), nil, reason.WrongUsage},
		"not for servers":           {gatewayCA.Leaf("localhost", func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }), nil, ""},
		"the authority itself":      {gatewayCA, nil, ""},
		"name that is no gateway's": {gate, func(c *reverse.ServerConfig) { c.Gateways.Names = []string{"gateway.acme.example"} }, reason.UntrustedGateway},
		"another pin": {gate, func(c *reverse.ServerConfig) {
			c.Gateways.Names, c.Gateways.Pins = nil, []trust.Digest{trust.FingerprintOf(pinned.Cert)}
		}, reason.UntrustedGateway},
		"revoked": {gate, func(c *reverse.ServerConfig) { c.Gateways.Trust = trusting(t, gatewayCA, gate) }, reason.Revoked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeGateway(t, tc.shows, "")
			c := f.serverConfig(t, echo)
			if tc.change != nil {
				tc.change(&c)
			}
			s := startServer(t, c)
			testkit.Eventually(t, "refusals", func() bool { return s.events.count(reverse.Refused) >= 2 })
			select {
			case r := <-f.registrations:
				t.Errorf("the server registered: %v", r.Header)
			case <-s.Ready():
				t.Error("the server is ready")
			default:
			}
			if tc.why != "" {
				if why := s.events.waitForRefusal(t); why != tc.why {
					t.Errorf("the reason is %q, want %q", why, tc.why)
				}
			}
		})
	}
	t.Run("the right one", func(t *testing.T) {
		t.Parallel()
		f := newFakeGateway(t, pinned, "")
		c := f.serverConfig(t, echo)
		c.Gateways.Names, c.Gateways.Pins = nil, []trust.Digest{trust.FingerprintOf(pinned.Cert)}
		s := startServer(t, c)
		openControl(t, <-f.conns, "welcome\n")
		<-s.Ready()
	})
	t.Run("no TLS", func(t *testing.T) {
		t.Parallel()
		l := listen(t)
		received := make(chan string, 10)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				b := make([]byte, 4096)
				n, _ := c.Read(b)
				received <- string(b[:n])
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: mtlsguard-tunnel/1\r\n\r\n")
				c.Close()
			}
		}()
		c := (&dmz{}).baseConfig(t, orders, echo, "orders")
		c.Addrs = []string{l.Addr().String()}
		s := startServer(t, c)
		testkit.Eventually(t, "a refusal", func() bool { return s.events.count(reverse.Refused) >= 2 })
		if hello := <-received; hello[0] != 22 || strings.Contains(hello, "mtlsguard") {
			t.Errorf("the server sent %q", hello)
		}
	})
}

// Without names, fingerprints or anchors any server could be the gateway.
// Covers K3.
func TestGatewaysMustBeIdentified(t *testing.T) {
	t.Parallel()
	base := (&dmz{}).baseConfig(t, orders, echo, "orders")
	base.Addrs = []string{"localhost:1"}
	for name, g := range map[string]forwarded.Gateways{
		"no trust":             {Names: []string{"localhost"}},
		"no names":             {Trust: trusting(t, gatewayCA)},
		"the users' authority": {Names: []string{"localhost"}, Trust: must[*trust.Verifier](t)(trust.New(trust.Config{Anchors: []*x509.Certificate{userCA.Cert}, Usage: trust.UsageServer}))},
		"a trust for clients":  {Names: []string{"localhost"}, Trust: must[*trust.Verifier](t)(trust.New(trust.Config{Anchors: []*x509.Certificate{gatewayCA.Cert}}))},
	} {
		c := base
		c.Gateways = g
		if _, err := reverse.NewServer(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A successful dial, or any other answer, does not make the server ready.
func TestReadyFollowsTheGatewaysWelcome(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"refused": "HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nContent-Length: 19\r\n\r\n{\"reason\":\"denied\"}",
		"garbage": "SSH-2.0-x\r\n", "other": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "200": "HTTP/1.1 200 OK\r\n\r\n",
		"endless": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 200_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeGateway(t, gate, answer)
			s := startServer(t, f.serverConfig(t, echo))
			<-f.registrations
			<-f.registrations
			select {
			case <-s.Ready():
				t.Error("ready")
			default:
			}
			if name == "refused" && s.events.waitForRefusal(t) != reason.Denied {
				t.Error(s.events.all)
			}
		})
	}
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		f := newFakeGateway(t, gate, "")
		s := startServer(t, f.serverConfig(t, echo))
		cc := <-f.conns
		res := openControl(t, cc, "")
		select {
		case <-s.Ready():
			t.Error("ready before the welcome")
		default:
		}
		res.Body.Close()
	})
	t.Run("unknown message", func(t *testing.T) {
		t.Parallel()
		f := newFakeGateway(t, gate, "")
		s := startServer(t, f.serverConfig(t, echo))
		openControl(t, <-f.conns, "welcome\nsurprise\n")
		<-s.Ready()
		<-f.conns // it dials again
	})
}
