package reverse

import (
	"errors"
	"net/http"

	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
)

var errAnswerTooLong = errors.New("reverse: the answer's header or trailers are too long for a tunnel")

// tunnelWriter keeps an answer from ending the tunnel, which other callers share: the HTTP/2
// server of net/http closes the whole connection after "Connection: close", and the client
// closes it after a header that is too long.
type tunnelWriter struct {
	http.ResponseWriter
	request *http.Request
	onError func(error)
	begun   bool
	err     error // why the handler's answer is not sent
}

// deleteReserved deletes the headers that have a meaning for the tunnel.
func (t *tunnelWriter) deleteReserved() {
	h := t.Header()
	delete(h, "Connection")
	delete(h, wire.HeaderKind)
}

// begin prepares the header of the final answer. A header that is too long is replaced by
// the answer 502.
func (t *tunnelWriter) begin() {
	if t.begun {
		return
	}
	t.begun = true
	t.deleteReserved()
	if h := t.Header(); wire.HeaderSize(h) > wire.MaxSize {
		t.err = errAnswerTooLong
		t.onError(t.err)
		clear(h)
		fail(t.ResponseWriter, t.request, http.StatusBadGateway)
	}
}

// finish must be called when the handler has returned: if the handler has not answered,
// net/http answers with the headers that it has set. Trailers that are too long abort the
// stream, because the answer without them would be incomplete.
func (t *tunnelWriter) finish() {
	t.begin()
	if h := t.Header(); t.err == nil && wire.TrailerSize(h) > wire.MaxSize {
		t.onError(errAnswerTooLong)
		panic(http.ErrAbortHandler)
	}
}

// WriteHeader implements http.ResponseWriter.
func (t *tunnelWriter) WriteHeader(status int) {
	if status < http.StatusOK {
		t.deleteReserved()
		if wire.HeaderSize(t.Header()) > wire.MaxSize {
			return // an informational answer may be dropped
		}
	} else {
		t.begin()
	}
	if t.err == nil {
		t.ResponseWriter.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (t *tunnelWriter) Write(b []byte) (int, error) {
	t.begin()
	if t.err != nil {
		return 0, t.err
	}
	return t.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (t *tunnelWriter) Flush() { _ = t.FlushError() }

// FlushError is Flush for http.ResponseController.
func (t *tunnelWriter) FlushError() error {
	t.begin()
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// Unwrap returns the inner writer, for http.ResponseController.
func (t *tunnelWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }
