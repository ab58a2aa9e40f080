// Package middleware holds Guard, which wraps an http.Handler and lets a request
// through when the caller is known and the policy allows it.
//
//	guard, err := middleware.New(middleware.Config{Map: table, Policy: engine})
//	srv := &http.Server{Handler: guard.Handler(api)}
//
// In front of a chi router it goes into Use; inside a router it can be taken apart,
// Identify outside and Authorize where the rights differ.
//
// # The way of a request
//
//  1. clean: identity headers are deleted in every spelling, from every sender; a
//     target that can be read in two ways is refused.
//  2. verify: the client's certificate is verified by the current trust anchors,
//     revocation lists and clock.
//  3. map: the certificate names exactly one user, or the request is refused.
//  4. no certificate: authenticators may name the caller; otherwise Strict refuses the
//     request, and ToDefault makes the caller the user Default.
//  5. decide: may this user, on this port, use this method on this path?
//
// A request with a certificate that is not trusted is refused: the caller becomes neither
// Default nor a user with a password. Every error is a refusal.
package middleware
