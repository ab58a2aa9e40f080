package middleware

import (
	"io"
	"net/http"

	"github.com/mtlsguard/mtlsguard/internal/idheader"
)

// clean deletes the identity headers, and their announcement as trailers.
func (s *snapshot) clean(r *http.Request) {
	s.cleanMap(r.Header)
	s.cleanMap(r.Trailer)
}

func (s *snapshot) cleanMap(h http.Header) {
	for name := range h {
		if s.isIdentityHeader(name) {
			delete(h, name)
		}
	}
}

// cleanTrailers keeps trailers that state an identity from the handler. Their
// announcement is gone already; but on HTTP/1.1 net/http adds those that arrive,
// announced or not, to the map that it shares with the handler's copy of the
// request, while the body is read.
func (s *snapshot) cleanTrailers(inner *http.Request) {
	if len(inner.Trailer) == 0 {
		inner.Trailer = nil // shared with nobody: what arrives stays outside
		return
	}
	inner.Body = &trailed{ReadCloser: inner.Body, snapshot: s, trailer: inner.Trailer}
}

// trailed is a body that cleans the trailers after it.
type trailed struct {
	io.ReadCloser
	snapshot *snapshot
	trailer  http.Header
}

func (t *trailed) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	if err != nil {
		t.snapshot.cleanMap(t.trailer)
	}
	return n, err
}

// Close reads what is left of a short body, and the trailers with it.
func (t *trailed) Close() error {
	err := t.ReadCloser.Close()
	t.snapshot.cleanMap(t.trailer)
	return err
}

// isIdentityHeader is asked about every header of every request.
func (s *snapshot) isIdentityHeader(name string) bool {
	return idheader.Is(name) || len(s.unwelcome) > 0 && s.unwelcome[idheader.Fold(name)]
}
