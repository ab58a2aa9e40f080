package middleware

import (
	"io"
	"net/http"

	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/idheader"
	"github.com/mtlsguard/mtlsguard/internal/tunnel"
)

// clean finds the connection of a request, reads the certificate that a gateway forwards
// with it, and then deletes the identity headers and their announcement as trailers. w is nil
// for Check.
func (s *snapshot) clean(c *call, w http.ResponseWriter) {
	r := c.request
	var ok bool
	switch c.conn, ok = connstate.FromContext(r.Context()); {
	case ok && r.TLS != nil:
		c.Port = c.conn.Port().Name()
		c.port = s.portOf(c.conn)
	case !ok:
		if c.tunnel, ok = tunnel.FromContext(r.Context()); ok {
			c.Port, c.Gateway = c.tunnel.Port, c.tunnel.Gateway
			c.port = s.portNamed(c.Port)
		}
	}
	if s.forwards && c.conn != nil && c.port != nil && c.port.Forwarded != nil {
		s.readForwarded(c, w)
	}
	s.deleteIdentity(r.Header)
	if r.Trailer != nil {
		s.deleteIdentity(r.Trailer)
	}
}

// deleteIdentity deletes the identity headers of a header or a trailer.
func (s *snapshot) deleteIdentity(h http.Header) {
	for name := range h {
		if s.isIdentityHeader(name) {
			delete(h, name)
		}
	}
}

// cleanTrailers deletes identity headers from the trailers that the handler sees. Their
// announcement is deleted already; but on HTTP/1.1 net/http adds those that arrive,
// announced or not, to the map that it shares with the handler's copy of the
// request, while the body is read.
func (s *snapshot) cleanTrailers(inner *http.Request) {
	if len(inner.Trailer) == 0 {
		inner.Trailer = nil // a map of its own: what arrives stays outside
		return
	}
	inner.Body = &cleanBody{ReadCloser: inner.Body, snapshot: s, trailer: inner.Trailer}
}

// cleanBody is a body that cleans the trailers after it.
type cleanBody struct {
	io.ReadCloser
	snapshot *snapshot
	trailer  http.Header
}

func (b *cleanBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.snapshot.deleteIdentity(b.trailer)
	}
	return n, err
}

// Close reads the rest of a short body, and the trailers with it.
func (b *cleanBody) Close() error {
	err := b.ReadCloser.Close()
	b.snapshot.deleteIdentity(b.trailer)
	return err
}

// isIdentityHeader reports whether a header names a caller, in any spelling. It is called for
// every header of every request.
func (s *snapshot) isIdentityHeader(name string) bool {
	return idheader.Is(name) || len(s.identityHeaders) > 0 && s.identityHeaders[idheader.Fold(name)]
}
