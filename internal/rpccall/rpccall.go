// Package rpccall connects module rpc/grpc with the guard of package middleware: calls on
// grpc's own transport pass the same guard as requests of HTTP.
package rpccall

import (
	"context"
	"net/http"
)

// Call is one call on its way through the guard, which writes a refusal to it. It is
// comparable. Streams and the methods of http.ResponseWriter are used by one goroutine; the
// others are safe for concurrent use.
type Call interface {
	http.ResponseWriter
	// Request returns the call as a request, as it came from the client: nothing is deleted
	// from its header yet.
	Request(context.Context) *http.Request
	// Streams reports whether the call has a stream of messages, and so may last.
	Streams() bool
	// End ends the call with the refusal that write writes. It does not wait for the handler.
	End(write func(http.ResponseWriter))
}

// Handler returns the handler of a *middleware.Guard for requests that Call.Request returns,
// with the Call as the ResponseWriter. While a call with a stream is under way the guard
// decides about it again when its configuration, the mapping or the trust has changed, and ends
// it where it would not let it through any more. Package middleware sets Handler when the
// program starts.
var Handler func(guard any, next http.Handler) http.Handler
