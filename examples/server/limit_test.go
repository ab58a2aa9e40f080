package main

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A silent client is closed at the deadline, and one address has a limited number of
// connections.
// Covers H1, H4.
func TestSilentClientsAndManyConnectionsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files(plainUsers, plainPolicy,
		s.port("slow", "require", "limits: {handshake: 100ms}"),
		s.port("few", "require", "limits: {connections_per_ip: 2}"))
	s.start()
	silent, err := net.Dial("tcp", s.addr["slow"])
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	silent.SetReadDeadline(time.Now().Add(testkit.Patience))
	if _, err := silent.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a silent client: %v", err)
	}
	testkit.Eventually(t, "the timeout is logged", func() bool { return len(s.log("event", "handshake", "reason", "timeout", "port", "slow")) == 1 })

	dial := func() error {
		pair := s.ca.Leaf("alice").TLS()
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: testkit.Patience}, "tcp", s.addr["few"],
			&tls.Config{RootCAs: s.serverCA.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{pair}})
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err
	}
	for i := range 3 {
		if err := dial(); (err != nil) != (i == 2) {
			t.Errorf("connection %d: %v", i+1, err)
		}
	}
	testkit.Eventually(t, "the limit is logged", func() bool { return len(s.log("event", "handshake", "reason", "limit", "port", "few")) == 1 })
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error) // Read returns it unwrapped
	return ok && n.Timeout()
}
