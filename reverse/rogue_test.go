package reverse_test

import (
	"crypto/x509"
	"io"
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
			t.Errorf("%s: accepted", name)
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
