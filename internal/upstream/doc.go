// Package upstream forwards requests to the service behind a port, with the caller in
// headers. It is a reverse proxy that decides nothing: a guard in front of it has decided.
//
// A request passes upstream.go (which requests are forwarded at all), rewrite.go and misleading.go
// (its headers), retry.go (the attempts), exchange.go (how long each side may be silent), and one of
// two ways to the service. direct.go sends what has no body over plain HTTP/1.1, on connections of
// directconn.go. The rest is http.Transport's, with conn.go (a connection without the rest of
// another answer). interim.go has the answers before the answer, failure.go the answers to callers
// when the service has none, health.go the checks for readiness.
package upstream
