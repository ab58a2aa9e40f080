package reverse

import (
	"bufio"
	"net"
	"net/http"
	"sync"
)

// link is the connection under a tunnel. It hides the *tls.Conn: what net/http could
// see of it would be taken for the caller's.
type link struct {
	net.Conn
	r    *bufio.Reader // may hold the first bytes of what follows the registration
	once sync.Once
	gone chan struct{}
}

func newLink(c net.Conn, r *bufio.Reader) *link {
	return &link{Conn: c, r: r, gone: make(chan struct{})}
}

// Read reads what the registration left first.
func (l *link) Read(b []byte) (int, error) {
	if l.r.Buffered() > 0 {
		return l.r.Read(b)
	}
	return l.Conn.Read(b) // no second buffer: HTTP/2 has its own
}

// Close closes the connection, and tells whoever waits for that.
func (l *link) Close() error {
	l.once.Do(func() { close(l.gone) })
	return l.Conn.Close()
}

// plainHTTP2 is all that is spoken in a tunnel; TLS is below.
func plainHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}
