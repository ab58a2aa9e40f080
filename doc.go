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
// Five files handle a request, in this order:
//
//  1. ports/handshake.go accepts a connection and bounds its handshake.
//  2. trust/verifier.go verifies the client certificate.
//  3. middleware/guard.go rejects ambiguous requests, and calls the next two.
//  4. certmap/decide.go maps the certificate to a user.
//  5. policy/decide.go allows or denies the request.
//
// In a reload, internal/fileset reads the files, internal/config parses mtlsguard.yaml,
// internal/site builds a generation from them, and Server applies it.
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
// certificate, unless the port has strict: false.
package mtlsguard
