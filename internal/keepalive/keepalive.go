// Package keepalive ends connections of HTTP/1.1 (RFC 9112 section 9.6) on which the
// next bytes may not be a request: the rest of a body, or bytes that a client sent behind
// an upgrade that was refused.
package keepalive

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
)

// Switches reports whether a request asks to switch its connection to another protocol. A
// client that does not wait for the answer has sent bytes of that protocol already; if the
// switch is refused, they must not be read as a request.
func Switches(r *http.Request) bool {
	return r.ProtoMajor == 1 && (len(r.Header["Upgrade"]) > 0 || r.Method == http.MethodConnect)
}

// Upgrade returns the protocols that a request asks to upgrade to, or "".
func Upgrade(r *http.Request) string {
	for _, line := range r.Header["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return strings.Join(r.Header["Upgrade"], ", ")
			}
		}
	}
	return ""
}

// Writer adds Connection: close to an answer of HTTP/1 if Last reports, at the answer's
// beginning, that no request may follow it. Its methods are for one goroutine, except
// WriteHeader with an informational status, as in net/http.
type Writer struct {
	http.ResponseWriter
	Last  func() bool
	begun bool
}

// Finish must be called when the handler has returned: net/http writes an answer for a handler
// that wrote none.
func (w *Writer) Finish() { w.begin() }

func (w *Writer) begin() {
	if w.begun {
		return
	}
	w.begun = true
	if w.Last() {
		w.Header()["Connection"] = []string{"close"}
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *Writer) WriteHeader(status int) {
	switch {
	case status == http.StatusSwitchingProtocols:
		w.begun = true
	case status >= http.StatusOK:
		w.begin()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *Writer) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (w *Writer) Flush() { _ = w.FlushError() }

// FlushError is for http.ResponseController.
func (w *Writer) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker.
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Close makes net/http close the connection after the answer that w writes, even when
// its header has been sent. The handler's goroutine calls it. The answer arrives whole:
// net/http flushes it, and waits a moment before it closes, so that a client that
// still sends can read it.
func Close(w http.ResponseWriter) {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = u.Unwrap()
	}
	// http.MaxBytesReader documents that it does this for a body beyond its limit.
	var b [1]byte
	_, _ = http.MaxBytesReader(w, io.NopCloser(endless{}), 0).Read(b[:])
}

// endless is a body without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
