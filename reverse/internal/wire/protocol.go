// Package wire is the protocol between the two ends of a tunnel: the registration, the
// names of the headers, the control messages, and the connections and bodies that travel
// in a stream. It decides nothing about certificates or services; package reverse does.
//
// A server registers by an HTTP/1.1 upgrade (RFC 9110 section 7.8) on a TLS connection
// that it has dialled. After that the gateway is the client of an HTTP/2 connection on it.
package wire

import (
	"net/http"
	"time"
)

const (
	// Protocol is the token of the upgrade by which a server registers.
	Protocol = "mtlsguard-tunnel/1"
	// RegisterPath is the path of the registration request.
	RegisterPath = "/mtlsguard/tunnel"
)

// The headers between gateway and server. Their prefix makes all of them identity
// headers: the gateway, the server and the guard delete them wherever anyone else sets
// them.
const (
	HeaderServices   = "X-Mtls-Services"    // registration: the services that the server offers
	HeaderStreams    = "X-Mtls-Streams"     // registration: how many requests the server takes at one time
	HeaderKind       = "X-Mtls-Tunnel"      // one of the kinds below
	HeaderCaller     = "X-Mtls-Caller"      // CallerCertificate or CallerNone: a missing header is an error
	HeaderRemote     = "X-Mtls-Remote"      // the client's address
	HeaderServerName = "X-Mtls-Server-Name" // the name in the client's TLS handshake (SNI)
	HeaderService    = "X-Mtls-Service"     // the service that the gateway chose
	HeaderUpgrade    = "X-Mtls-Upgrade"     // the protocol of the client's upgrade
)

// The kinds of streams in a tunnel, and of answers to them.
const (
	KindControl  = "control" // the first stream: both ends exchange control messages
	KindRequest  = "request"
	KindUpgrade  = "upgrade" // a request for an upgrade
	KindStream   = "stream"  // a client's connection, carried end to end
	KindHijacked = "taken"   // an answer: the handler has hijacked the connection
	KindBusy     = "busy"    // an answer: too many handlers run, and none has seen the request
)

// The values of HeaderCaller.
const (
	CallerCertificate = "certificate"
	CallerNone        = "none"
)

// The control messages. Each is one line.
const (
	Welcome = "welcome" // gateway: requests will follow
	Renew   = "renew"   // gateway: dial another tunnel in place of this one
	Bye     = "bye"     // gateway: no more requests will follow, the gateway stops
	Drain   = "drain"   // server: send no more requests
	Ack     = "ack"     // gateway, after Drain: none will follow; those in flight may finish
)

const (
	// Window is how much of one body waits in memory for a slow reader, in bytes. All
	// streams together stay below the window of their connection, so that none of them can
	// stop another.
	Window = 256 << 10
	// FrameSize is the largest frame that each end accepts, in bytes. The other end keeps a
	// buffer of that size for each body that it sends.
	FrameSize = 16 << 10
	// SpareStreams allows for streams that one end has closed and the other end has not.
	SpareStreams = 64
	// HeaderTableSize is the HPACK table's size in bytes. It makes a certificate that is
	// forwarded again cost some bytes.
	HeaderTableSize = 256 << 10
	// MaxHeaderBytes bounds a header in either direction, as HTTP/2 counts it.
	MaxHeaderBytes = 128 << 10
	// MaxStreams bounds the requests in one tunnel.
	MaxStreams = 4096
	// MaxServices bounds the services of one registration.
	MaxServices = 100
	// HandshakeTimeout bounds each step until a tunnel carries requests.
	HandshakeTimeout = 10 * time.Second
)

// ConnectionWindow returns the window of a connection that holds the windows of so many
// streams and more, in bytes.
func ConnectionWindow(streams int) int { return (streams + SpareStreams + 2) * Window }

// HTTP2 returns the only protocol inside a tunnel: HTTP/2 without TLS, which is below it.
func HTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// SingleValue returns the value of a header that has exactly one.
func SingleValue(h http.Header, name string) (string, bool) {
	values := h[name]
	if len(values) != 1 {
		return "", false
	}
	return values[0], true
}
