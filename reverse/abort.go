package reverse

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// cut ends a client's connection so that nobody takes it for ended. To whoever reads
// until the end (HTTP/1.0, a protocol that was switched to) half an answer would look
// like a whole one if TLS said goodbye; crypto/tls even forgives the lack of a goodbye
// between two records. Within a record it does not, so the last one is half of one.
func cut(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		raw := t.NetConn()
		raw.SetWriteDeadline(time.Now().Add(cutTime))
		raw.Write(halfRecord)
		raw.Close()
	}
	c.Close()
}

const cutTime = 100 * time.Millisecond

// halfRecord is the beginning of a record of application data (RFC 8446 section 5.1).
var halfRecord = []byte{23, 3, 3}

// cutOff cuts the connection of a request of HTTP/1. HTTP/2 resets the stream.
func cutOff(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 {
		return
	}
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		cut(c)
	}
}

// hijackable remembers the connection that ReverseProxy takes for a switch of
// protocols.
type hijackable struct {
	http.ResponseWriter
	idle time.Duration // for the client to take the next part
	mu   sync.Mutex
	conn net.Conn
}

// Hijack implements http.Hijacker.
func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buffered, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn = c
	if err != nil {
		return nil, nil, err
	}
	c.SetWriteDeadline(time.Now().Add(h.idle)) // for the head of the answer, which does not go by timedConn
	return timedConn{c, h.idle}, buffered, nil
}

// Unwrap is for http.ResponseController.
func (h *hijackable) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// cut is for when the other end of a switched connection broke off.
func (h *hijackable) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn != nil {
		cut(h.conn)
	}
}
