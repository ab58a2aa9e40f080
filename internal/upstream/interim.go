package upstream

import (
	"net/http"
	"slices"
)

// interimWriter writes the answer of a service. It keeps what ReverseProxy loses with an
// informational answer (status 1xx): the headers that the guard has set before, such as Vary.
type interimWriter struct {
	http.ResponseWriter
	r       *http.Request
	before  http.Header
	interim bool // the headers are lost
}

func newInterimWriter(w http.ResponseWriter, r *http.Request) *interimWriter {
	return &interimWriter{ResponseWriter: w, r: r, before: w.Header().Clone()}
}

// ofConnection are headers that concern one connection, and that ReverseProxy removes from final
// answers only. HTTP/2 has none of them.
var ofConnection = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// WriteHeader implements http.ResponseWriter.
func (w *interimWriter) WriteHeader(status int) {
	h := w.Header()
	switch {
	case status == http.StatusSwitchingProtocols:
	case status < http.StatusOK:
		w.interim = true
		if !w.r.ProtoAtLeast(1, 1) {
			return // a client of HTTP/1.0 would take it for the answer, and the answer for that to its next request (RFC 9110 section 15.2)
		}
		for _, name := range ofConnection {
			delete(h, name)
		}
	case w.interim:
		w.interim = false
		for name, values := range w.before {
			h[name] = append(slices.Clone(values), h[name]...)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *interimWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
