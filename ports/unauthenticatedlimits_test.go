package ports_test

import (
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Covers H15. A connection without a certificate has fewer streams than one with, and
// the SETTINGS announce it; a change of the limits keeps this.
func TestStreamsWithoutCertificateAreBounded(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Request)
	c.Limits.Drain = time.Second
	p := newPort(t, c)
	serve(t, http.HandlerFunc(who), p)
	open, _ := config(t, ports.None)
	open.Limits.Drain = time.Second
	none := newPort(t, open)
	serve(t, http.HandlerFunc(who), none)
	announced := func(p *ports.Port, who *testpki.Pair) uint32 {
		own, err := dial(t, p, clientConfig(who, h2only))
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		(&framer{own}).preface()
		own.SetReadDeadline(time.Now().Add(patience))
		head := make([]byte, 9)
		if _, err := io.ReadFull(own, head); err != nil || head[3] != frameSettings {
			t.Fatalf("%x, %v", head, err)
		}
		settings := make([]byte, int(head[1])<<8|int(head[2]))
		io.ReadFull(own, settings)
		for ; len(settings) >= 6; settings = settings[6:] {
			if settings[1] == 3 { // SETTINGS_MAX_CONCURRENT_STREAMS
				return uint32(settings[4])<<8 | uint32(settings[5])
			}
		}
		return 0
	}
	check := func(what string, stranger, known uint32) {
		t.Helper()
		if s, k := announced(p, nil), announced(p, alice); s != stranger || k != known {
			t.Errorf("%s: %d streams without a certificate, %d with, want %d and %d", what, s, k, stranger, known)
		}
	}
	check("by default", anonymousStreams, 100)
	c.Limits.Streams = 5
	reconfigure(t, p, c)
	eventually(t, "the new limits", func() bool { return announced(p, alice) == 5 })
	check("with 5", 5, 5)
	c.Limits.Streams = 200
	reconfigure(t, p, c)
	eventually(t, "the new limits", func() bool { return announced(p, alice) == 200 })
	check("with 200", anonymousStreams, 200)
	if n := announced(none, nil); n != 100 {
		t.Errorf("%d streams on a port that asks for no certificate, want 100", n)
	}
}

// Covers H15, H8. Handshakes that are large together are refused for the largest alone:
// whoever sends an ordinary certificate gets in.
func TestLargeHandshakesTogether(t *testing.T) {
	c, e := config(t, ports.Require)
	const each, clients = 120 << 10, 700 // 82 MiB together
	c.Limits.Handshake, c.Limits.PerIP = patience, 2*clients
	p := serving(t, c)
	junk := make([]*x509.Certificate, 9)
	for i := range junk {
		junk[i] = testpki.Make(nil, testpki.NewKey(), padded(16<<10)).Cert
	}
	large := &testpki.Pair{Cert: alice.Cert, Key: alice.Key, Chain: junk}
	// What one client of TLS 1.2 says up to the middle of its certificates, which are not
	// encrypted there, is said by all: a real handshake of each would take too long.
	conn, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	said := &saying{Conn: conn}
	fails(t, said, clientConfig(large, tls12))
	conn.Close()
	if len(said.said) < each {
		t.Fatalf("the client sent %d bytes", len(said.said))
	}
	var all []net.Conn
	for range clients {
		conn, err := net.Dial("tcp", p.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		all = append(all, conn)
		go conn.Write(said.said[:each])
	}
	eventually(t, "refusals", func() bool { return e.count(reason.Limit) > 0 })
	if body, own, err := ask(t, p, clientConfig(bob)); err != nil || body != "require bob HTTP/2.0" {
		t.Errorf("an ordinary client: %q, %v", body, err)
	} else {
		own.Close()
	}
	for _, conn := range all {
		conn.Close()
	}
	eventually(t, "the places", func() bool { return p.ConnCount() == 0 })
	// What was counted is given back: a large one alone gets as far as its certificate.
	before := e.count(reason.Limit)
	conn, err = net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fails(t, conn, clientConfig(large))
	if n := e.count(reason.Limit); n != before {
		t.Errorf("a large handshake alone was refused for the limit")
	}
}

// saying keeps what a client writes.
type saying struct {
	net.Conn
	said []byte
}

func (s *saying) Write(b []byte) (int, error) {
	s.said = append(s.said, b...)
	return s.Conn.Write(b)
}
