// Package middleware wraps an http.Handler in a Guard, which lets a request through if its
// caller is known and the policy allows it.
//
//	guard, err := middleware.New(middleware.Config{Map: table, Policy: engine})
//	srv := &http.Server{Handler: guard.Handler(api)}
//
// Guard.Handler is the usual middleware, for example for Use of a chi router. A program can
// also use its two halves: Identify outside a router, and Authorize at the routes.
//
// # The steps for a request
//
//  1. clean: identity headers are deleted in every spelling, from every sender; a
//     target that can be read in two ways is refused.
//  2. verify: the client's certificate is verified by the current trust anchors,
//     revocation lists and clock.
//  3. map: the certificate names exactly one user, or the request is refused.
//  4. no certificate: authenticators may name the caller; otherwise Strict refuses the
//     request, and ToDefault makes the caller the user Default.
//  5. decide: the policy allows or denies the request by user, port, method and path.
//
// A request with a certificate that is not trusted is refused: the caller becomes neither
// Default nor a user with a password. Every error is a refusal.
package middleware
