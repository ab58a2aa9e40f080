package e2e

import (
	"errors"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Settings that may change while tunnels are open apply to the next request, and the tunnels
// stay open.
// Covers G2, G6.
func TestReloadAppliesOnBothSidesOfATunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	outer, inner := d.startBoth()
	testkit.Eventually(t, "two tunnels", func() bool { return inner.server.Status().Gateways[d.registrations] == 2 })
	alice, anonymous := d.client(d.alice), d.client(nil)
	url := outer.url("external", "/whoami")
	expect := func(when, first, second string) {
		t.Helper()
		if got := get(alice, url); got != first {
			t.Errorf("%s: alice: %s, want %s", when, got, first)
		}
		if got := get(anonymous, url); got != second {
			t.Errorf("%s: no certificate: %s, want %s", when, got, second)
		}
	}
	change := func(l *live, name, old, replacement string) {
		t.Helper()
		l.sub(name, old, replacement)
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	is, none := "200 alice tunnel tunnel", "403 no-certificate"
	expect("at first", is, none)
	change(inner, config, "strict: true", "strict: false")
	expect("strict is off inside", is, "200 Default anonymous tunnel")
	change(outer, config, "strict: false", "strict: true")
	expect("strict is on outside", is, none)
	change(outer, config, "strict: true", "strict: false")
	change(inner, "policy.csv", "p, user:alice, *, GET, /orders/*, allow", "p, user:alice, *, GET, /whoami, deny")
	expect("a rule", "403 denied", "200 Default anonymous tunnel")
	change(inner, "policy.csv", "p, user:alice, *, GET, /whoami, deny", "")
	change(inner, "users.yaml", "user: alice", "user: alicia")
	expect("a mapping", "200 alicia tunnel tunnel", "200 Default anonymous tunnel")
	inner.put("ca.crl", inner.crl(2, d.alice))
	if err := inner.server.Reload(); err != nil {
		t.Fatal(err)
	}
	expect("revoked inside", "403 revoked", "200 Default anonymous tunnel")
	change(outer, config, "service: orders", "services: {api.acme.example: orders}")
	expect("no service outside", "404", "404")
	change(outer, config, "services: {api.acme.example: orders}", "services: {127.0.0.1: orders}")
	expect("the host's service", "403 revoked", "200 Default anonymous tunnel")
	change(inner, config, "strict: false", "strict: true")
	change(outer, config, "tunnel: {services: {127.0.0.1: orders}, check: believed}", "tunnel: {service: orders, check: believed}")
	expect("as at first, but revoked", "403 revoked", none)
	if got := inner.server.Status().Gateways[d.registrations]; got != 2 || len(inner.log.find("event", "drain")) > 0 {
		t.Errorf("%d tunnels: %s", got, inner.log.text())
	}
}

// A reload verifies the certificate at the other end of a tunnel again.
// Covers K5.
func TestReloadClosesUntrustedTunnels(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		change func(*dmz, *live, *live)
		reason string // the reason of the refusal
	}{
		{"a revoked server", func(d *dmz, outer, _ *live) {
			outer.put("registration-ca.crl", crlPEM(d.registrationCA.CRL(2, serialsOf(d.orders))))
		}, ""},
		{"another owner", func(_ *dmz, outer, _ *live) {
			outer.sub(config, "[orders.internal.example]", "[other.internal.example]")
		}, "denied"},
		{"a revoked gateway", func(d *dmz, _, inner *live) {
			inner.put("gateway-ca.crl", crlPEM(d.gatewayCA.CRL(2, serialsOf(d.gateway))))
		}, "revoked"},
		{"another gateway", func(_ *dmz, _, inner *live) { inner.sub(config, "[gateway.acme.example]", "[other.acme.example]") }, "untrusted-gateway"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t)
			outer, inner := d.startBoth()
			testkit.Eventually(t, "two tunnels", func() bool {
				return inner.server.Status().Gateways[d.registrations] == 2 && outer.server.Status().Services["orders"] == 2
			})
			row.change(d, outer, inner)
			for _, l := range []*live{outer, inner} {
				if err := l.server.Reload(); err != nil {
					t.Fatal(err)
				}
			}
			testkit.Eventually(t, "the tunnels are gone", func() bool {
				return inner.server.Status().Gateways[d.registrations] == 0 && outer.server.Status().Services["orders"] == 0
			})
			testkit.Eventually(t, "the server logs the reason", func() bool { return len(inner.log.find("event", "handshake", "reason", row.reason)) > 0 })
		})
	}
}

// The server's certificate is read again for each connection.
// Covers I2.
func TestCertificateOfTheInnerServerIsReplaced(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	outer, inner := d.startBoth()
	testkit.Eventually(t, "two tunnels", func() bool { return outer.server.Status().Services["orders"] == 2 })
	again := d.registrationCA.Leaf("orders-2", named("orders.internal.example"))
	inner.put("orders.pem", string(again.CertPEM()))
	inner.put("orders-key.pem", string(again.KeyPEM()))
	if err := inner.server.Reload(); err != nil {
		t.Fatal(err)
	}
	outer.put("registration-ca.crl", crlPEM(d.registrationCA.CRL(2, serialsOf(d.orders)))) // the old tunnels end
	if err := outer.server.Reload(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "it is there by its new certificate", func() bool {
		return len(outer.log.find("event", "ready", "subject", "orders-2")) > 0 && outer.server.Status().Services["orders"] > 0
	})
	if got := get(d.client(d.alice), outer.url("external", "/whoami")); got != "200 alice tunnel tunnel" {
		t.Error(got)
	}
}

// A new certificate at either end replaces the tunnels, and no request is lost.
// Covers K17.
func TestReplacedCertificateReplacesTunnels(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(d *dmz, outer, inner *live) *live{
		"the server's": func(d *dmz, _, inner *live) *live {
			again := d.registrationCA.Leaf("orders-2", named("orders.internal.example"))
			inner.put("orders.pem", string(again.CertPEM()))
			inner.put("orders-key.pem", string(again.KeyPEM()))
			return inner
		},
		"the gateway's": func(d *dmz, outer, _ *live) *live {
			again := d.gatewayCA.Server(named("gateway.acme.example"))
			outer.put("gateway.pem", string(again.CertPEM()))
			outer.put("gateway-key.pem", string(again.KeyPEM()))
			return outer
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t)
			outer, inner := d.startBoth()
			tunnels := func() int { return outer.server.Status().Services["orders"] }
			testkit.Eventually(t, "two tunnels", func() bool { return tunnels() == 2 })
			alice, url := d.client(d.alice), outer.url("external", "/whoami")
			if err := replace(d, outer, inner).server.Reload(); err != nil {
				t.Fatal(err)
			}
			testkit.Eventually(t, "two others in their place", func() bool {
				if got := get(alice, url); got != "200 alice tunnel tunnel" {
					t.Fatal(got)
				}
				return len(outer.log.find("event", "ready", "services", "orders")) == 4 && len(outer.log.find("event", "drain")) >= 4 && tunnels() == 2
			})
		})
	}
}

// A change that an open tunnel cannot apply is an error, and nothing changes.
func TestReverseReloadThatNeedsARestartIsAnError(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	outer, inner := d.startBoth()
	for _, row := range []struct {
		l                *live
		old, new, reason string
	}{
		{outer, registrationLine, "registration: {upgrades: [websocket], services: [{name: orders, names: [orders.internal.example]}]}", "upgrades have changed"},
		{outer, registrationLine, "registration: {caller_share: 25, services: [{name: orders, names: [orders.internal.example]}]}", "caller_share has changed"},
		{outer, "    " + registrationLine + "\n", "", ""},
		{outer, "    " + tunnelLine + "\n", "", ""},
		{outer, "name: external", "name: outside", `port "outside" is new`},
		{inner, "services: [orders]", "services: [orders, more]", "name, server_name, gateways or services have changed"},
		{inner, d.registrations, "127.0.0.1:1", "name, server_name, gateways or services have changed"},
		{inner, "name: tunnel", "name: dmz", ""},
		{inner, "strict: true", "server_name: localhost", "name, server_name, gateways or services have changed"},
		{inner, "reverse:\n", "ports: [{name: lan, listen: '127.0.0.1:0', client_cert: none, certificate: {cert: server.pem, key: server-key.pem}}]\nreverse:\n", "the file had 0 ports"},
	} {
		good := row.l.get(config)
		row.l.sub(config, row.old, row.new)
		err := row.l.server.Reload()
		if err == nil || row.reason != "" && (!errors.Is(err, ports.ErrRestart) || !strings.Contains(err.Error(), row.reason)) {
			t.Errorf("%q in place of %q: %v", row.new, row.old, err)
		}
		row.l.put(config, good)
		if err := row.l.server.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	if got := get(d.client(d.alice), outer.url("external", "/whoami")); got != "200 alice tunnel tunnel" {
		t.Error(got)
	}
}

// A change of the gateway's policy check applies at once.
func TestReloadOfCheckAppliesAtOnce(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	d.sub(config, "reload: 0", "users: users.yaml\npolicy: policy.csv\nreload: 0")
	d.put("policy.csv", "")
	d.put("users.yaml", "mappings:\n  - {id: alice, user: alice, subject: \"CN=alice\", issuer: ca.pem}\n")
	outer, _ := d.startBoth()
	alice := d.client(d.alice)
	for range 2 {
		for _, row := range []struct{ old, new, want string }{
			{"check: believed", "check: policy", "403 no-rule"}, {"check: policy", "check: believed", "200 alice tunnel tunnel"},
		} {
			outer.sub(config, row.old, row.new)
			if err := outer.server.Reload(); err != nil {
				t.Fatal(err)
			}
			if got := get(alice, outer.url("external", "/whoami")); got != row.want {
				t.Errorf("%s: got %s, want %s", row.new, got, row.want)
			}
		}
	}
	if got := configerror.All(outer.server.Reload()); len(got) > 0 {
		t.Error(got)
	}
}
