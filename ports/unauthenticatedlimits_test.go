package ports_test

import (
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Covers H15. A connection without a certificate has fewer streams than one with a
// certificate. The SETTINGS announce it, also after a change of the limits.
func TestStreamsWithoutCertificateAreBounded(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Request)
	c.Limits.Drain = time.Second
	p := newPort(t, c)
	serve(t, http.HandlerFunc(echoCaller), p)
	open, _ := config(t, ports.None)
	open.Limits.Drain = time.Second
	none := newPort(t, open)
	serve(t, http.HandlerFunc(echoCaller), none)
	announced := func(p *ports.Port, holder *testpki.Pair) uint32 {
		own, err := dial(t, p, clientConfig(holder, h2only))
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		(&framer{own}).preface()
		own.SetReadDeadline(time.Now().Add(patience))
		head := make([]byte, 9)
		if _, err := io.ReadFull(own, head); err != nil || head[3] != frameSettings {
			t.Fatalf("the first frame is %x, %v; want SETTINGS", head, err)
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
	check := func(limits string, without, with uint32) {
		t.Helper()
		if a, b := announced(p, nil), announced(p, alice); a != without || b != with {
			t.Errorf("%s: %d streams without a certificate, %d with, want %d and %d", limits, a, b, without, with)
		}
	}
	check("by default", anonymousStreams, 100)
	c.Limits.Streams = 5
	reconfigure(t, p, c)
	testkit.Eventually(t, "the new limits are in effect", func() bool { return announced(p, alice) == 5 })
	check("with 5", 5, 5)
	c.Limits.Streams = 200
	reconfigure(t, p, c)
	testkit.Eventually(t, "the new limits are in effect", func() bool { return announced(p, alice) == 200 })
	check("with 200", anonymousStreams, 200)
	if n := announced(none, nil); n != 100 {
		t.Errorf("%d streams on a port without client certificates, want 100", n)
	}
}

// Covers H15, H8. If handshakes are too large in sum, only the largest are refused: a client
// with an ordinary certificate is served.
func TestLargeHandshakesTogether(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Require)
	const each, clients = 120 << 10, 700 // 82 MiB in sum
	c.Limits.Handshake, c.Limits.PerIP = 2*testkit.Patience, 2*clients
	p := serving(t, c)
	unrelated := make([]*x509.Certificate, 9)
	for i := range unrelated {
		unrelated[i] = testpki.Make(nil, testpki.NewKey(), padded(16<<10)).Cert
	}
	large := &testpki.Pair{Cert: alice.Cert, Key: alice.Key, Chain: unrelated}
	// All clients send the bytes of one TLS 1.2 client up to the middle of its certificates,
	// which are not encrypted there: a real handshake of each would take too long.
	conn, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	sent := &recording{Conn: conn}
	fails(t, sent, clientConfig(large, tls12))
	conn.Close()
	if len(sent.bytes) < each {
		t.Fatalf("the client sent %d bytes", len(sent.bytes))
	}
	var all []net.Conn
	for range clients {
		conn, err := net.Dial("tcp", p.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		all = append(all, conn)
		go conn.Write(sent.bytes[:each])
	}
	testkit.Eventually(t, "a handshake is refused", func() bool { return e.count(reason.Limit) > 0 })
	if body, own, err := dialAndGet(t, p, clientConfig(bob)); err != nil || body != "require bob HTTP/2.0" {
		t.Errorf("an ordinary client: %q, %v", body, err)
	} else {
		own.Close()
	}
	for _, conn := range all {
		conn.Close()
	}
	testkit.Eventually(t, "every slot is free", func() bool { return p.ConnCount() == 0 })
	// The memory of the ended handshakes is no longer counted: one large handshake alone is not
	// refused for the limit.
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

// recording keeps the bytes that a client writes.
type recording struct {
	net.Conn
	bytes []byte
}

func (r *recording) Write(b []byte) (int, error) {
	r.bytes = append(r.bytes, b...)
	return r.Conn.Write(b)
}
