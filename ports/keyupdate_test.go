package ports_test

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// writer13 seals records of TLS 1.3 as the client does (RFC 8446 section 5.2), by the
// secret that crypto/tls writes to the client's own key log. crypto/tls itself sends
// no KeyUpdate.
type writer13 struct {
	conn   net.Conn
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func expand(secret []byte, label string, size int) []byte {
	label = "tls13 " + label
	info := append([]byte{byte(size >> 8), byte(size), byte(len(label))}, label...)
	out, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), size)
	if err != nil {
		panic(err)
	}
	return out
}

func (w *writer13) rekey(secret []byte) {
	block, err := aes.NewCipher(expand(secret, "key", 16))
	if err != nil {
		panic(err)
	}
	w.secret, w.iv, w.seq = secret, expand(secret, "iv", 12), 0
	if w.aead, err = cipher.NewGCM(block); err != nil {
		panic(err)
	}
}

// record sends content of a type: 22 is handshake, 23 is application data.
func (w *writer13) record(kind byte, content []byte) error {
	nonce := append([]byte(nil), w.iv...)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^w.seq)
	w.seq++
	inner := append(append([]byte(nil), content...), kind)
	head := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(head[3:], uint16(len(inner)+w.aead.Overhead()))
	_, err := w.conn.Write(w.aead.Seal(head, nonce, inner, head))
	return err
}

// update sends KeyUpdate, n times in one record, and changes the key (section 4.6.3).
func (w *writer13) update(wanted byte, n int) error {
	message := []byte(strings.Repeat(string([]byte{24, 0, 0, 1, wanted}), n))
	err := w.record(22, message)
	w.rekey(expand(w.secret, "traffic upd", 32))
	return err
}

// dial13 returns an established connection, and a writer of records for it.
func dial13(t *testing.T, p *ports.Port) (*writer13, *caller) {
	t.Helper()
	raw, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	var log strings.Builder
	own, err := over(raw, clientConfig(alice, h1, func(c *tls.Config) { c.MinVersion, c.KeyLogWriter = tls.VersionTLS13, &log }))
	if err != nil {
		t.Fatal(err)
	}
	if own.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		testkit.Skip(t, "a processor with AES is missing: without it TLS selects another cipher suite, which this client does not implement")
	}
	for line := range strings.Lines(log.String()) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			w := &writer13{conn: raw}
			w.rekey(secret)
			return w, own
		}
	}
	t.Fatal("no secret in the key log")
	return nil, nil
}

// A client that changes its key again and again is disconnected after a few times, with or
// without answers, read or not, and other clients are served.
// Covers A19.
func TestKeyUpdateFloodEndsTheConnection(t *testing.T) {
	t.Parallel()
	for name, flood := range map[string]struct {
		wanted byte
		many   int
		read   bool
	}{
		"no answer wanted":     {0, 1, true},
		"answers wanted":       {1, 1, true},
		"answers not read":     {1, 1, false},
		"thousand in a record": {1, 1000, true}, // RFC 8446 section 5.1: only one may be in a record
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := config(t, ports.Require)
			p := serving(t, c)
			w, own := dial13(t, p)
			var answers atomic.Int64
			if flood.read {
				go func() {
					n, _ := io.Copy(io.Discard, own.NetConn())
					answers.Add(n)
					own.NetConn().Close()
				}()
			}
			w.conn.SetWriteDeadline(time.Now().Add(patience))
			for n := 0; n < 100_000 && w.update(flood.wanted, flood.many) == nil; n++ {
			}
			testkit.Eventually(t, "the connection ends", func() bool { return p.ConnCount() == 0 })
			if n := answers.Load(); n > 100<<10 {
				t.Errorf("%d bytes of answers", n)
			}
			admitted(t, p, clientConfig(bob))
		})
	}
}

// A client that changes its key occasionally is served: the limit is on the number of updates
// in a row.
// Covers A19.
func TestOccasionalKeyUpdatesAreServed(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	p := serving(t, c)
	w, own := dial13(t, p)
	answers := bufio.NewReader(own)
	own.SetReadDeadline(time.Now().Add(patience))
	for range 50 {
		if err := w.update(0, 1); err != nil {
			t.Fatal(err)
		}
		if err := w.record(23, []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "200 OK") {
			t.Fatalf("the status line is %q, %v; want 200 OK", line, err)
		}
		for line := ""; line != "\r\n"; { // the rest of the head; the body is short and has a length
			var err error
			if line, err = answers.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := answers.Discard(len("require alice HTTP/1.1")); err != nil {
			t.Fatal(err)
		}
	}
}
