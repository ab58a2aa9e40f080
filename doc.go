// Package mtlsguard authenticates the callers of a Go service by client
// certificate, and decides what they may do.
//
// Every port says whether it asks for a certificate. Every certificate is a named
// user, or nobody. A policy says what that user may call. All of it can be built in
// code from the packages below, or read from one file:
//
//	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{})
//	if err != nil {
//		log.Fatal(err) // every mistake, with file, line and hint
//	}
//	err = server.Serve(ctx, handler)
//
// The handler is an ordinary http.Handler that asks one question:
//
//	id, ok := identity.FromContext(r.Context())
//
// # The way of a request
//
// A reader follows one request through five files:
//
//  1. ports/handshake.go: a connection is accepted, its handshake bounded.
//  2. trust/trust.go: its certificate is believed, or not.
//  3. middleware/guard.go: a request is cleaned, named and decided on.
//  4. certmap/decide.go: the certificate is one user, or nobody.
//  5. policy/decide.go: the user may, or may not.
//
// A reload takes another way: internal/fileset reads the files, internal/config parses
// mtlsguard.yaml, internal/site makes a generation of them, and Server puts it in effect.
//
// # Refusals
//
// There is a closed list of words for why (package reason). No error ends as the
// anonymous user: who sent a certificate that is not accepted is refused, and who
// sent none is refused unless the port says strict: false.
package mtlsguard
