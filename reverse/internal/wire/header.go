package wire

import (
	"errors"
	"net/http"
	"strings"
)

// MaxSize bounds a header, or trailers, that one end sends. The receiving end closes the
// whole connection when it gets more than MaxHeaderBytes, so each end checks before it
// sends. The difference is room for what net/http adds: pseudo-headers, date, type and
// length.
const MaxSize = MaxHeaderBytes - 4<<10

// ErrRequestTooLong is the error of a request whose header or trailers exceed MaxSize.
var ErrRequestTooLong = errors.New("reverse: the request's header or trailers are too long for a tunnel")

// fieldOverhead is what HTTP/2 counts for each field (RFC 9113 section 6.5.2).
const fieldOverhead = 32

// HeaderSize returns the size of a header as HTTP/2 counts it, in bytes.
func HeaderSize(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + fieldOverhead
		}
	}
	for _, v := range h["Cookie"] { // each pair travels in a field of its own (RFC 9113 section 8.2.3)
		n += strings.Count(v, ";") * (len("Cookie") + fieldOverhead)
	}
	return n
}

// RequestSize returns the HeaderSize of a request with its pseudo-headers and the names of
// its trailers.
func RequestSize(r *http.Request) int {
	n := HeaderSize(r.Header) + len(r.Method) + len(r.URL.RequestURI()) + len(r.Host)
	for name := range r.Trailer {
		n += len(name) + len(",")
	}
	return n
}

// TrailerSize returns the HeaderSize of the trailers that a handler has set in h.
func TrailerSize(h http.Header) int {
	trailers := http.Header{}
	for name, values := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			trailers[name] = values
		}
	}
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			trailers[name] = h[name]
		}
	}
	return HeaderSize(trailers)
}

// forbiddenTrailers are fields that must not be trailers (RFC 9110 section 6.5.1). For
// each of them the HTTP/2 server of net/http resets the stream with PROTOCOL_ERROR, and
// then its client stops using the connection: one caller would end a tunnel that other
// callers share.
var forbiddenTrailers = map[string]bool{
	"Authorization": true, "Cache-Control": true, "Connection": true, "Content-Encoding": true, "Content-Length": true,
	"Content-Range": true, "Content-Type": true, "Expect": true, "Host": true, "Keep-Alive": true, "Max-Forwards": true,
	"Pragma": true, "Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Range": true,
	"Realm": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Www-Authenticate": true,
}

// ValidTrailer reports whether a field with this canonical name may be a trailer.
func ValidTrailer(name string) bool {
	return !forbiddenTrailers[name] && !strings.HasPrefix(name, "If-")
}
