// Package probemark holds the two marks by which a server recognizes the probes of the
// command: those of a request and of a handshake. Any client can send them. A mark may only be
// added to a log line: nothing is allowed, refused, hidden or logged at another level for it.
package probemark

import (
	"net/http"
	"slices"
)

const (
	// UserAgent is the User-Agent of a probe's request.
	UserAgent = "mtlsguard-probe"
	// Protocol is offered by ALPN (RFC 7301) beside http/1.1: a handshake that is refused has
	// no request. No server chooses it.
	Protocol = "mtlsguard-probe"
)

// InRequest reports whether a request has the mark.
func InRequest(r *http.Request) bool {
	agent := r.Header["User-Agent"] // Header.Get would look at each letter of the name first
	return len(agent) > 0 && agent[0] == UserAgent
}

// InHello reports whether the protocols of a client's hello have the mark.
func InHello(protocols []string) bool { return slices.Contains(protocols, Protocol) }
