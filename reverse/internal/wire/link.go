package wire

import (
	"bufio"
	"net"
	"sync"
)

// Link is the connection below a tunnel. It hides the *tls.Conn: handlers would take its
// peer certificate for the caller's.
type Link struct {
	net.Conn
	buffered *bufio.Reader // may hold the first bytes behind the registration
	once     sync.Once
	closed   chan struct{}
}

// NewLink returns a Link that first reads what buffered holds.
func NewLink(c net.Conn, buffered *bufio.Reader) *Link {
	return &Link{Conn: c, buffered: buffered, closed: make(chan struct{})}
}

// Read implements net.Conn.
func (l *Link) Read(b []byte) (int, error) {
	if l.buffered.Buffered() > 0 {
		return l.buffered.Read(b)
	}
	return l.Conn.Read(b) // without a second buffer: HTTP/2 has its own
}

// Close closes the connection, and the channel that Closed returns.
func (l *Link) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

// Closed returns a channel that Close closes.
func (l *Link) Closed() <-chan struct{} { return l.closed }
