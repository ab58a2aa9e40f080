package ports

import (
	"crypto/tls"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestH4_WhatCountsAsOneAddress(t *testing.T) {
	tcp := func(text string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, row := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"[::ffff:192.0.2.1]:1", "192.0.2.1:1", true}, // as a listener of both families tells it
		{"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", false},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:1", true}, // one /64
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
		{"[fe80::1%1]:1", "[fe80::2%2]:1", true}, // a zone is nobody's to choose
		{"[::1]:1", "127.0.0.1:1", false},
	} {
		a, b := addrOf(tcp(row.a)), addrOf(tcp(row.b))
		if (a == b) != row.same || !a.IsValid() || !b.IsValid() {
			t.Errorf("%s and %s are %v and %v", row.a, row.b, a, b)
		}
	}
	if addrOf(&net.UnixAddr{Name: "x"}) != addrOf(nil) {
		t.Error("addresses of another kind are not all one")
	}
}

// Many addresses of one /64 have the connections of one, and leave nothing behind.
func TestH4_H9_AddressesOfOneSubscriber(t *testing.T) {
	var s slots
	s.setMost(10_000, 3)
	at := func(i int) net.Addr {
		ip := net.ParseIP("2001:db8::")
		ip[14], ip[15] = byte(i>>8), byte(i)
		return &net.TCPAddr{IP: ip, Port: 1}
	}
	taken := 0
	for i := range 1000 {
		if s.takeAddr(addrOf(at(i))) {
			taken++
		}
	}
	if taken != 3 || len(s.byAddr) != 1 {
		t.Errorf("%d connections of one subscriber, %d addresses kept", taken, len(s.byAddr))
	}
	if !s.takeAddr(addrOf(&net.TCPAddr{IP: net.ParseIP("2001:db8:0:1::")})) {
		t.Error("another subscriber is refused")
	}
	s.giveAddr(addrOf(&net.TCPAddr{IP: net.ParseIP("2001:db8:0:1::")}))
	for range taken {
		s.giveAddr(addrOf(at(0)))
	}
	if len(s.byAddr) != 0 {
		t.Errorf("%d addresses are kept", len(s.byAddr))
	}
}

// Whatever a port's configuration says, this is what crypto/tls is told. A field that
// is not named here is at its zero value.
func TestA16_L10_WhatCryptoTLSIsTold(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	v, err := trust.New(trust.Config{Anchors: ca.Presented()})
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{"MinVersion": true, "NextProtos": true, "GetCertificate": true, "VerifyConnection": true, "ClientAuth": true, "ClientCAs": true}
	for _, row := range []struct {
		mode ClientAuth
		want tls.ClientAuthType
	}{{None, tls.NoClientCert}, {Request, tls.RequestClientCert}, {Require, tls.RequireAnyClientCert}} {
		c := Config{Name: "p", Addr: "127.0.0.1:0", ClientAuth: row.mode, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}
		if row.mode != None {
			c.Trust = v
		}
		p, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			told := p.state.Load().tls
			if told.ClientAuth != row.want || told.MinVersion != tls.VersionTLS12 || told.VerifyConnection == nil {
				t.Errorf("%v, %s: %v, %x", row.mode, when, told.ClientAuth, told.MinVersion)
			}
			if p.ClientAuth() != row.mode || p.Config().ClientAuth != row.mode || p.Config().Trust != c.Trust {
				t.Errorf("%v, %s: Config says %v", row.mode, when, p.Config().ClientAuth)
			}
			if told.KeyLogWriter != nil {
				t.Error("keys are logged")
			}
			// No GetConfigForClient, no VerifyPeerCertificate, no InsecureSkipVerify, …
			for i, all := 0, reflect.ValueOf(told).Elem(); i < all.NumField(); i++ {
				if f := all.Type().Field(i); f.IsExported() && !said[f.Name] && !all.Field(i).IsZero() {
					t.Errorf("%v, %s: %s is set", row.mode, when, f.Name)
				}
			}
		}
		check("new")
		c.Limits.Streams, c.HideAuthorities, c.CancelRequests = 7, true, true
		c.Limits.ConnectionAge = time.Minute
		if err := p.Reconfigure(c); err != nil {
			t.Fatal(err)
		}
		check("reconfigured")
	}
}

// What is reported of a handshake holds nothing that could be a key.
func TestL10_HandshakeEventsHoldNoKeys(t *testing.T) {
	harmless := map[string]bool{
		"Port": true, "Remote": true, "ServerName": true, "Reason": true, "Err": true, "Presented": true, "Version": true, "Resumed": true, "Duration": true,
	}
	for f := range reflect.TypeFor[Handshake]().Fields() {
		if !harmless[f.Name] {
			t.Errorf("%s is new: is it a secret, or could it hold one?", f.Name)
		}
	}
}
