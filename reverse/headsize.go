package reverse

import (
	"errors"
	"net/http"
	"strings"
)

// mostHead bounds a head, or trailers, in a tunnel. Both ends of a tunnel end the whole
// connection when they are sent more than headerBytes, so each end looks before it
// sends. The rest is for what net/http adds: pseudo-headers, date, type, length.
const mostHead = headerBytes - 4<<10

var (
	errRequestHead = errors.New("reverse: the request's head or its trailers are too long for a tunnel")
	errAnswerHead  = errors.New("reverse: the answer's head or its trailers are too long for a tunnel")
)

// fieldOverhead is counted for each field (RFC 9113 section 6.5.2).
const fieldOverhead = 32

// headSize is the size of a field section as HTTP/2 counts it.
func headSize(h http.Header) int {
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

// requestSize is headSize with the pseudo-headers and the names of the trailers.
func requestSize(r *http.Request) int {
	n := headSize(r.Header) + len(r.Method) + len(r.URL.RequestURI()) + len(r.Host)
	for name := range r.Trailer {
		n += len(name) + len(",")
	}
	return n
}

// trailerSize is headSize of what a handler has set as trailers.
func trailerSize(h http.Header) int {
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
	return headSize(trailers)
}

// noTrailer are fields that must not stand in trailers (RFC 9110 section 6.5.1). For one
// of these net/http's HTTP/2 server resets the stream with PROTOCOL_ERROR, and then its
// client does not use the connection any more: one caller would end a tunnel that is
// others' too.
var noTrailer = map[string]bool{
	"Authorization": true, "Cache-Control": true, "Connection": true, "Content-Encoding": true, "Content-Length": true,
	"Content-Range": true, "Content-Type": true, "Expect": true, "Host": true, "Keep-Alive": true, "Max-Forwards": true,
	"Pragma": true, "Proxy-Authenticate": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Range": true,
	"Realm": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Www-Authenticate": true,
}

// mayTrail reports whether a field of this canonical name may be a trailer.
func mayTrail(name string) bool { return !noTrailer[name] && !strings.HasPrefix(name, "If-") }
