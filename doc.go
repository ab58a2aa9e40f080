// Package mtlsguard authenticates the callers of a Go service by client certificate, and
// decides which requests they may make.
//
// A port ignores, requests or requires client certificates. A mapping turns a verified certificate
// into a named user. A policy lists the requests that each user may make. All of it can be built in
// code from the packages below, or read from one file:
//
//	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{})
//	if err != nil {
//		log.Fatal(err) // every configuration error, with file, line and hint
//	}
//	err = server.Serve(ctx, handler)
//
// The handler is an ordinary http.Handler. One call returns the caller:
//
//	id, ok := identity.FromContext(r.Context())
//
// # How a request is handled
//
// A new connection visits these files, in this order:
//
//  1. ports/listener.go accepts it, and checks its address and the limits.
//  2. ports/handshake.go does the TLS handshake within its deadline.
//  3. trust/verifier.go verifies the client certificate: trust/profile.go has the rules for the
//     leaf, and trust/chain.go those for its chains.
//
// Then net/http reads requests from the connection. Each request visits these files:
//
//  1. ports/httpserver.go bounds the waits for the client.
//  2. middleware/guard.go takes the steps of the guard. They are in middleware/clean.go (delete
//     identity headers), middleware/target.go (refuse a target that can be read in two ways),
//     middleware/certificate.go (verify the certificate again, or use the cached identity),
//     middleware/mapping.go and middleware/decision.go.
//  3. certmap/decide.go maps the certificate to a user, unless the identity is cached.
//  4. policy/decide.go allows or denies the request.
//  5. internal/audit/decision.go logs the decision. Then your handler runs, with the request of
//     middleware/strip.go.
//
// # How files are reloaded
//
//  1. watch.go waits until changed files are no longer being written. internal/fileset/look.go
//     finds them.
//  2. reload.go reads all files as one generation, by internal/fileset/reader.go.
//  3. internal/config/config.go parses mtlsguard.yaml.
//  4. internal/site/load.go builds the generation: the table of mappings by certmap/source.go, the
//     policy by policy/load.go, and the verifiers by internal/site/trust.go. Unchanged files are
//     not parsed again.
//  5. reload.go puts the generation into effect: first the guard (middleware/snapshot.go), with one
//     pointer, and then the ports (ports/port.go).
//  6. history.go records it.
//
// # Tests
//
// Package mtlsguardtest serves a handler on a real port with certificates that are made on the
// spot, for the tests of programs that use this package.
//
// # Refusals
//
// Package reason lists every reason for a refusal. No error makes a caller anonymous: a
// caller with a certificate that is not accepted is refused, and so is a caller without a
// certificate, unless an authenticator of the program identifies the caller, or the port has
// strict: false.
package mtlsguard
