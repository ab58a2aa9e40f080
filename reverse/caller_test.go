package reverse_test

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestCallerIsIdentifiedThroughTheTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	onBothVersions(t, func(t *testing.T, h2 bool) {
		c := d.client(t, alice, h2)
		got := c.get("/alice/x?q=1")
		got.wantUser(t, "alice")
		if got.TLS {
			t.Error("the handler sees a TLS connection: the gateway's")
		}
		if got.Remote == "" || got.Hop != "true orders "+got.Remote+" localhost" || "https://"+got.Host != c.url {
			t.Errorf("the way was %q, the address %q, the host %q", got.Hop, got.Remote, got.Host)
		}
		other := d.client(t, bob, h2)
		other.get("/x").wantUser(t, "bob")
		other.get("/alice/x").want(t, 403, reason.Denied)
	})
	if n := s.Tunnels()[d.registration.Addr().String()]; n != 1 {
		t.Errorf("%d tunnels, want 1", n)
	}
	if conns := d.gateway.Tunnels(); len(conns) != 1 || conns[0].Certificate.Leaf().Subject.CommonName != "orders" || !slices.Equal(conns[0].Services, []string{"orders"}) {
		t.Errorf("the gateway has %+v", conns)
	}
}

// carolAuthenticator authenticates every caller as carol.
type carolAuthenticator struct{}

func (carolAuthenticator) Authenticate(*http.Request) (string, error) { return "carol", nil }

// Covers K6.
func TestAnonymousCallerStaysAnonymous(t *testing.T) {
	t.Parallel()
	issued := testpki.NewCA("Gateway CA 2").Leaf("gateway")
	for name, tc := range map[string]struct {
		port middleware.PortConfig
		code int
		user string
		via  identity.Via
	}{
		"strict":         {middleware.PortConfig{}, 403, "", ""},
		"to Default":     {middleware.PortConfig{Fallback: middleware.ToDefault}, 200, "Default", identity.ViaAnonymous},
		"other unmapped": {middleware.PortConfig{Unmapped: "partner"}, 403, "", ""},
		"authenticator":  {middleware.PortConfig{Authenticators: []middleware.Authenticator{carolAuthenticator{}}}, 200, "carol", identity.Authenticator},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t)
			g := newGuard(t, func(c *middleware.Config) {
				c.PerPort = map[string]middleware.PortConfig{"tunnel": tc.port}
				c.Map = must[*certmap.Table](t)(certmap.New(
					certmap.Mapping{ID: "gateway", User: "gateway", Fingerprint: trust.FingerprintOf(gate.Cert)},
					certmap.Mapping{ID: "server", User: "server", Fingerprint: trust.FingerprintOf(orders.Cert)},
					certmap.Mapping{ID: "issued", User: "issued", Fingerprint: trust.FingerprintOf(issued.Cert)},
				))
			})
			startConnected(t, d.serverConfig(t, orders, g.Handler(echo), "orders"))
			onBothVersions(t, func(t *testing.T, h2 bool) {
				s := d.client(t, nil, h2).get("/x")
				if s.Code != tc.code || s.User != tc.user || s.Via != tc.via || s.Code == 403 && s.Reason != reason.NoCertificate {
					t.Errorf("answered %d %q %q: %s", s.Code, s.User, s.Via, s.Body)
				}
			})
		})
	}
}

// forgedHeaders returns the headers that identify p as the caller in any known format.
func forgedHeaders(p *testpki.Pair) map[string]string {
	der := base64.StdEncoding.EncodeToString(p.Cert.Raw)
	out := map[string]string{
		"X-Mtls-Caller": "certificate", "X-Mtls-Tunnel": "control", "X-Mtls-Remote": "9.9.9.9:9", "X-Mtls-Server-Name": "forged",
		"X-Mtls-Service": "forged", "X-Mtls-Upgrade": "websocket", "X-Mtls-Services": "orders", "x-mtls-tunnel": "stream", "X_Mtls_Caller": "none", "X-MTLS-CALLER": "none",
	}
	for _, name := range []string{"Client-Cert", "client-cert", "CLIENT-CERT", "Client_Cert", "Client.Cert"} {
		out[name] = ":" + der + ":"
	}
	for _, name := range []string{
		"X-Forwarded-Client-Cert", "X-SSL-Client-Cert", "X-Client-Cert", "X-ARR-ClientCert", "X-Forwarded-Tls-Client-Cert", "X-Amzn-Mtls-Clientcert",
		"X-Remote-User", "X-Forwarded-User", "Ssl-Client-Verify", "Cf-Client-Cert-Der-Base64", "X-Client-Verify",
	} {
		out[name] = der
	}
	return out
}

// Covers K1.
func TestIdentityHeadersOfTheCallerChangeNothing(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, echo)
	all := forgedHeaders(bob)
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	hop := strings.Join(names, ", ")
	for user, p := range map[string]*testpki.Pair{"alice": alice, "": nil} {
		t.Run("caller "+user, func(t *testing.T) {
			onBothVersions(t, func(t *testing.T, h2 bool) {
				c := d.client(t, p, h2)
				check := func(what string, change ...func(*http.Request)) {
					s := c.get("/x", change...)
					if user == "" {
						if s.Code != 403 || s.Reason != reason.NoCertificate {
							t.Errorf("%s: answered %d %s, want 403 %s", what, s.Code, s.Body, reason.NoCertificate)
						}
						return
					}
					s.wantUser(t, user)
					for name := range s.Headers {
						if !slices.Contains([]string{"Accept-Encoding", "User-Agent", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}, name) {
							t.Errorf("%s: the handler sees %s", what, name)
						}
					}
					if !strings.HasPrefix(s.Hop, "true orders 127.0.0.1:") || !strings.HasSuffix(s.Hop, " localhost") {
						t.Errorf("%s: the way was %s", what, s.Hop)
					}
				}
				var every []func(*http.Request)
				for name, value := range all {
					check(name, header(name, value))
					every = append(every, header(name, value))
				}
				check("all", every...)
				if !h2 {
					check("hop by hop", header("Connection", hop))
					check("hop by hop, with all", append(every, header("Connection", strings.ToLower(hop)))...)
				}
			})
		})
	}
}

// Covers K4.
func TestInterleavedCallersAreNotMixed(t *testing.T) {
	t.Parallel()
	const callers = 100
	requests := 1_000
	if *full {
		requests = 100_000
	}
	d := newDMZ(t)
	var mappings []certmap.Mapping
	var pairs []*testpki.Pair
	for i := range callers {
		p := userCA.Leaf(fmt.Sprintf("u%d", i))
		pairs = append(pairs, p)
		mappings = append(mappings, certmap.Mapping{ID: p.Cert.Subject.CommonName, User: p.Cert.Subject.CommonName, Fingerprint: trust.FingerprintOf(p.Cert)})
	}
	g := newGuard(t, func(c *middleware.Config) { c.Map = must[*certmap.Table](t)(certmap.New(mappings...)) })
	startConnected(t, d.serverConfig(t, orders, g.Handler(echo), "orders"))
	var all sync.WaitGroup
	for i, p := range pairs {
		c := d.client(t, p, i%2 == 0)
		all.Go(func() {
			for range requests / callers {
				var change []func(*http.Request)
				if rand.IntN(4) == 0 { // with another caller's certificate in a header
					change = append(change, header("Client-Cert", ":"+base64.StdEncoding.EncodeToString(pairs[(i+1)%callers].Cert.Raw)+":"))
				}
				s := c.get("/x", change...)
				if s.Code != 200 || s.User != p.Cert.Subject.CommonName {
					t.Errorf("%s was answered %d as %q", p.Cert.Subject.CommonName, s.Code, s.User)
					return
				}
			}
		})
	}
	all.Wait()
	if n := d.events.count("registered"); n != 1 {
		t.Errorf("%d tunnels, want 1", n)
	}
}

func TestRevocationTakesEffectOnTheNextRequest(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	for _, h2 := range []bool{false, true} {
		a, b := d.client(t, alice, h2), d.client(t, bob, h2)
		for range 3 {
			a.get("/x").wantUser(t, "alice")
			s.trustUsers(t, trusting(t, userCA, alice))
			a.get("/x").want(t, 403, reason.Revoked)
			b.get("/x").wantUser(t, "bob")
			s.trustUsers(t, trusting(t, userCA))
		}
	}
	c := s.config
	c.Users = nil
	if err := s.Reconfigure(c); err == nil {
		t.Error("Reconfigure accepted a configuration without Users")
	}
	c = s.config
	c.Services, c.Conns, c.Drain = []string{"billing"}, 7, time.Hour
	err := s.Reconfigure(c)
	for _, field := range []string{"Services", "Conns", "Drain"} {
		if err == nil || !strings.Contains(err.Error(), "ServerConfig."+field+" cannot change") {
			t.Errorf("Reconfigure with another %s returned %v", field, err)
		}
	}
	d.client(t, alice, true).get("/x").wantUser(t, "alice")
}

// The external port trusts a second authority, and the server does not.
func TestServerVerifiesCallersWithItsOwnAnchors(t *testing.T) {
	t.Parallel()
	other := testpki.NewCA("Partner CA")
	d := newDMZ(t, func(_ *reverse.GatewayConfig, external, _ *ports.Config) {
		external.Trust = must[*trust.Verifier](t)(trust.New(trust.Config{Anchors: []*x509.Certificate{userCA.Cert, other.Cert}}))
	})
	startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(echo), "orders"))
	d.client(t, other.Leaf("alice"), true).get("/x").want(t, 403, reason.UnknownAuthority)
	d.client(t, userCA.SubCA("Sub").Leaf("eve"), true).get("/x").want(t, 403, reason.Unmapped) // the chain is forwarded too
}
