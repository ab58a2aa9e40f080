package e2e

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// deepUsers puts the users' authority of a site two levels below a new root, and returns
// that root. No file of the site contains the authority in between.
func (s *site) deepUsers(tb testing.TB) (root, between *testpki.Pair) {
	tb.Helper()
	root = testpki.NewCA("Root CA")
	between = root.SubCA("Policy CA")
	s.ca = between.SubCA("Client CA")
	s.alice, s.bob = s.ca.Leaf("alice"), s.ca.Leaf("bob")
	anchor := testpki.Pair{Cert: s.ca.Cert}
	s.put("ca.pem", string(anchor.CertPEM()))
	s.put("ca.crl", s.crl(1))
	s.put("root.pem", string(root.CertPEM()))
	policy := testpki.Pair{Cert: between.Cert}
	s.put("policy-ca.pem", string(policy.CertPEM()))
	return root, between
}

// The gateways' authority is a root, and users are two levels below it. A user's certificate
// with the gateway's name does not make its holder a gateway. If the configuration contains
// the authority in between, it does not load.
//
// Covers F18.
func TestUserFarBelowTheGatewaysRootIsNoGateway(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	root, _ := b.deepUsers(t)
	b.sub(config, "gateway: {anchors: [gateway-ca.pem], crls: [gateway-ca.crl], names: [gateway.acme.example]}", "gateway: {anchors: [root.pem], names: [gateway.acme.example]}")
	l := b.start(mtlsguard.Options{})
	url := l.url("internal", "/whoami")
	genuine := b.client(root.SubCA("Gateways CA").Leaf("gateway", named(gatewayName)))
	rogue := b.client(b.ca.Leaf("mallory", named(gatewayName)))
	forwarding := []string{"X-SSL-Client-Verify", "SUCCESS", "X-SSL-Client-Cert", escaped(b.alice)}
	if got := get(withHeaders(genuine, forwarding...), url); got != "200 alice" {
		t.Errorf("the gateway: %s, want 200 alice", got)
	}
	if got := get(withHeaders(rogue, forwarding...), url); got != "403 untrusted-gateway" {
		t.Errorf("a user with the gateway's name: %s, want 403 untrusted-gateway", got)
	}
	for what, change := range map[string][2]string{
		"as a CRL issuer of the gateways": {"anchors: [root.pem], ", "anchors: [root.pem], crl_issuers: [policy-ca.pem], "},
		"as a CRL issuer of the users":    {"trust: {anchors: [ca.pem], crls: [ca.crl]}\n    strict: true", "trust: {anchors: [ca.pem], crls: [ca.crl], crl_issuers: [policy-ca.pem]}\n    strict: true"},
		"as an anchor of the gateways":    {"anchors: [root.pem], ", "anchors: [root.pem, policy-ca.pem], "},
	} {
		plain := b.get(config)
		b.sub(config, change[0], change[1])
		if _, err := mtlsguard.Open(b.path(config), mtlsguard.Options{}); err == nil || !strings.Contains(err.Error(), "also issues for users") {
			t.Errorf("%s: got %v, want the authority as an error", what, err)
		}
		b.put(config, plain)
	}
}

// The servers' authority is a root, and callers are two levels below it. A caller's
// certificate with the server's name registers no tunnel, neither by a list of names nor by
// the server's own name.
//
// Covers F18.
func TestCallerFarBelowTheServersRootCannotRegister(t *testing.T) {
	t.Parallel()
	for _, registration := range []string{registrationLine, "registration: true"} {
		t.Run(registration, func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t)
			root, _ := d.deepUsers(t)
			d.sub(config, "trust: {anchors: [registration-ca.pem], crls: [registration-ca.crl]}", "trust: {anchors: [root.pem]}")
			d.sub(config, registrationLine, registration)
			name := "orders.internal.example"
			if registration != registrationLine {
				name = "orders"
			}
			d.orders = d.ca.Leaf("mallory", named(name))
			outer := d.startGateway(mtlsguard.Options{})
			rogue := d.inside().background()
			testkit.Eventually(t, "refusals", func() bool { return len(rogue.log.find("event", "handshake", "port", "tunnel")) > 1 })
			if outer.server.Status().Services["orders"] != 0 || len(rogue.log.find("event", "ready")) > 0 {
				t.Errorf("%s: the caller registers: %s", registration, rogue.log.text())
			}
			if got := get(d.client(nil), outer.url("external", "/whoami")); got != "503" {
				t.Errorf("%s: the caller serves: %s, want 503", registration, got)
			}
			rogue.stop()
			d.orders = root.SubCA("Servers CA").Leaf("orders", named(name))
			d.inside().start(mtlsguard.Options{}) // start waits for its tunnel

			d.sub(config, "trust: {anchors: [root.pem]}", "trust: {anchors: [root.pem], crl_issuers: [policy-ca.pem]}")
			if _, err := mtlsguard.Open(d.path(config), mtlsguard.Options{}); err == nil || !strings.Contains(err.Error(), "also issues for the callers of port external") {
				t.Errorf("%s: got %v, want the authority as an error", registration, err)
			}
		})
	}
}
