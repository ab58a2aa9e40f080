package ports

import (
	"bufio"
	"net"
	"net/http"
)

// bodyWriter limits the wait for the rest of a body: net/http reads it, up to a bound, before
// it sends the head of an answer of HTTP/1. The limit ends with the call. Otherwise it would
// end the read by which net/http notices that the client closes, and cancel the request's
// context.
type bodyWriter struct {
	http.ResponseWriter
	body *limitedBody
}

// limited runs a call in which net/http may read the body.
func (w *bodyWriter) limited(call func()) {
	w.body.beginWait(w.body.limits.Headers)
	defer w.body.endWait()
	call()
}

// WriteHeader implements http.ResponseWriter.
func (w *bodyWriter) WriteHeader(status int) {
	w.limited(func() { w.ResponseWriter.WriteHeader(status) })
}

// Write implements http.ResponseWriter.
func (w *bodyWriter) Write(b []byte) (n int, err error) {
	w.limited(func() { n, err = w.ResponseWriter.Write(b) })
	return n, err
}

// Flush implements http.Flusher.
func (w *bodyWriter) Flush() { _ = w.FlushError() }

// FlushError is for http.ResponseController.
func (w *bodyWriter) FlushError() (err error) {
	w.limited(func() { err = http.NewResponseController(w.ResponseWriter).Flush() })
	return err
}

// Hijack implements http.Hijacker.
func (w *bodyWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (w *bodyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
