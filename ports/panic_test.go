package ports_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// badClock is a clock that panics while on is set.
type badClock struct{ on atomic.Bool }

func (b *badClock) now() time.Time {
	if b.on.Load() {
		panic("the clock")
	}
	return time.Now()
}

// The clock of the trust is called in handshakes, in requests, by Reconfigure and, for
// hijacked connections, periodically. If it panics, no certificate is trusted, and the
// process goes on.
// Covers H14.
func TestPanickingClockTrustsNoCertificate(t *testing.T) {
	t.Parallel()
	quiet(t)
	clock := &badClock{}
	shop := newWorkshop()
	c, e := config(t, ports.Require)
	c.Trust = trusting(t, trust.Config{Anchors: []*x509.Certificate{clientCA.Cert}, Now: clock.now})
	c.Limits.Drain = time.Second
	p := newPort(t, c)
	serve(t, shop, p)
	open := admitted(t, p, clientConfig(alice, h1))
	hijacked := shop.hijack(t, p, clientConfig(alice, h1))
	hijacked.reading()

	clock.on.Store(true)
	refused(t, p, e, clientConfig(alice), reason.BadCertificate)
	if body, _, err := open.get("/"); err != nil || !strings.Contains(body, " bad-certificate ") {
		t.Errorf("a request: %q, %v", body, err)
	}
	hijacked.ends(t) // the port's own check notices it
	c.Limits.Streams = 7
	reconfigure(t, p, c) // under the same trust: every connection is verified again
	open.ends(t)

	clock.on.Store(false)
	admitted(t, p, clientConfig(alice))
}

// perverse is an error whose methods panic.
type perverse struct{}

func (perverse) Error() string { panic("Error") }
func (perverse) Unwrap() error { panic("Unwrap") }

// Covers H14.
func TestPanickingErrorEndsOneHandshake(t *testing.T) {
	quiet(t)
	var on atomic.Bool
	on.Store(true)
	c, _ := config(t, ports.Require)
	c.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		if on.Load() {
			return nil, perverse{}
		}
		return &server, nil
	}
	c.Limits.PerIP, c.Limits.Handshakes = 1, 1 // the next connection needs its place
	p := serving(t, c)
	for range 3 {
		if _, err := dial(t, p, clientConfig(alice)); err == nil {
			t.Error("a handshake without a certificate")
		}
		testkit.Eventually(t, "its slot is free", func() bool { return p.ConnCount() == 0 })
	}
	on.Store(false)
	admitted(t, p, clientConfig(alice))
}

// With two addresses, IPv4 and IPv6, a full one does not limit the other.
// Covers H4.
func TestFullAddressLeavesOthersServed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ listen, full, other string }{
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.2"},
		{"[::1]:0", "::1", ""},
	} {
		c, e := config(t, ports.Require)
		c.Addr, c.Limits.PerIP = row.listen, 1
		if l, err := net.Listen("tcp", row.listen); err != nil {
			t.Logf("%s: %v", row.listen, err)
			continue
		} else {
			l.Close()
		}
		p := serving(t, c)
		admitted(t, p, clientConfig(alice))
		own, err := dial(t, p, clientConfig(alice))
		if err == nil {
			t.Fatalf("%s: a second connection", row.full)
		}
		if h := e.of(t, own.local); h.Reason != reason.Limit {
			t.Errorf("event %+v", h)
		}
		if row.other == "" {
			continue // a machine has one IPv6 address of its own; internal/connlimit tests the rest
		}
		raw, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(row.other)}}).Dial("tcp", p.Addr().String())
		if err != nil {
			t.Logf("no second address here: %v", err)
			continue
		}
		defer raw.Close()
		there, err := over(raw, clientConfig(alice))
		if err != nil {
			t.Fatal(err)
		}
		if body, _, err := there.get("/"); err != nil || !strings.Contains(body, " alice ") {
			t.Errorf("%s: got %q, %v; want the answer for alice", row.other, body, err)
		}
	}
}

// Two names with a certificate each on one port: a session under one name resumes under the
// other with the new name, its former caller, and the current trust.
// Covers A5.
func TestSessionResumesUnderAnotherNameOfThePort(t *testing.T) {
	t.Parallel()
	first := serverCA.Server(func(c *x509.Certificate) { c.DNSNames = []string{"first.example"} }).TLS()
	second := serverCA.Server(func(c *x509.Certificate) { c.DNSNames = []string{"second.example"} }).TLS()
	versions(t, func(t *testing.T, cache *anyKey, with tlsOption) {
		c, e := config(t, ports.Require)
		c.Certificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if h.ServerName == "second.example" {
				return &second, nil
			}
			return &first, nil
		}
		p := serving(t, c)
		named := func(name string) *tls.Config {
			return clientConfig(alice, with, func(c *tls.Config) {
				c.ServerName = name
				c.InsecureSkipVerify = true // an attacker's client resumes any session
			})
		}
		visit(t, p, cache, named("first.example"), "alice")
		again := visit(t, p, cache, named("second.example"), "alice")
		if h := e.of(t, again.local); h.ServerName != "second.example" || h.Presented[0] == nil || !h.Presented[0].Equal(alice.Cert) {
			t.Errorf("event %+v", h)
		}
		// Another client with the session is the caller of the session, not a new one.
		other := named("second.example")
		other.GetClientCertificate = clientConfig(bob).GetClientCertificate
		visit(t, p, cache, other, "alice")
		c.Trust = byClientCA(t, alice)
		reconfigure(t, p, c)
		for _, name := range []string{"first.example", "second.example"} {
			if h, _ := refused(t, p, e, named(name), reason.Revoked); h.Resumed {
				t.Errorf("%s: resumed", name)
			}
		}
	})
}
