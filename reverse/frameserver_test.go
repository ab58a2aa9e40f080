package reverse_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// registerRaw registers on a raw connection, and returns it.
func registerRaw(tb testing.TB, d *dmz, services string) (net.Conn, *bufio.Reader) {
	tb.Helper()
	own := orders.TLS()
	c := must[*tls.Conn](tb)(tls.Dial("tcp", d.registration.Addr().String(), &tls.Config{RootCAs: gatewayCA.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{own}}))
	tb.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "POST /mtlsguard/tunnel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: mtlsguard-tunnel/1\r\nX-Mtls-Services: %s\r\nX-Mtls-Streams: 100\r\n\r\n", services)
	r := bufio.NewReader(c)
	if res := must[*http.Response](tb)(http.ReadResponse(r, nil)); res.StatusCode != 101 {
		tb.Fatalf("registration answered %d, want 101", res.StatusCode)
	}
	return c, r
}

// frameServer is a server of the tunnel's protocol that writes frames (RFC 9113) by hand.
// onRequest handles each request.
type frameServer struct {
	mu        sync.Mutex
	c         net.Conn
	messages  strings.Builder // of the control exchange
	requests  atomic.Int64    // requests
	onRequest func(s *frameServer, stream uint32)
}

func (s *frameServer) frame(kind, flags byte, stream uint32, payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[5:], stream)
	s.c.Write(append(head, payload...))
}

func (s *frameServer) goAway(last uint32) {
	s.frame(7, 0, 0, append(binary.BigEndian.AppendUint32(nil, last), 0, 0, 0, 0))
}
func (s *frameServer) reset(stream, code uint32) {
	s.frame(3, 0, stream, binary.BigEndian.AppendUint32(nil, code))
}

// answer sends a 200 without a body.
func (s *frameServer) answer(stream uint32) { s.frame(1, 5, stream, []byte{0x88}) }

func (s *frameServer) hasReceived(message string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.messages.String(), message+"\n")
}

func newFrameServer(tb testing.TB, d *dmz, do func(*frameServer, uint32)) *frameServer {
	tb.Helper()
	c, r := registerRaw(tb, d, "orders")
	s := &frameServer{c: c, onRequest: do}
	go func() {
		io.ReadFull(r, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")))
		s.frame(4, 0, 0, []byte{0, 4, 0x7f, 0xff, 0xff, 0xff}) // windows that are never full
		control := uint32(0)
		for head := make([]byte, 9); ; {
			if _, err := io.ReadFull(r, head); err != nil {
				return
			}
			payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
			if _, err := io.ReadFull(r, payload); err != nil {
				return
			}
			stream := binary.BigEndian.Uint32(head[5:])
			switch kind, flags := head[3], head[4]; {
			case kind == 4 && flags == 0:
				s.frame(4, 1, 0, nil)
			case kind == 6 && flags == 0:
				s.frame(6, 1, 0, payload)
			case kind == 0 && stream == control:
				s.mu.Lock()
				s.messages.Write(payload)
				s.mu.Unlock()
			case kind == 1 && control == 0:
				control = stream
				s.frame(1, 4, stream, []byte("\x88\x00\x0dx-mtls-tunnel\x07control"))
			case kind == 1:
				s.requests.Add(1)
				if flags&1 != 0 {
					s.onRequest(s, stream)
				}
			case kind == 0 && flags&1 != 0: // the end of a body
				s.onRequest(s, stream)
			}
		}
	}()
	return s
}
