// Package middleware holds Guard, which stands in front of any http.Handler and
// lets a request through when the caller is known and the policy allows it.
//
//	guard, err := middleware.New(middleware.Config{Map: table, Policy: engine})
//	srv := &http.Server{Handler: guard.Handler(api)}
//
// In front of a chi router it goes into Use; inside a router it can be taken apart,
// Identify outside and Authorize where the rights differ.
//
// # The way of a request
//
//  1. clean: identity headers are deleted in every spelling, whoever sent them; a
//     target that can be read in two ways is refused.
//  2. evidence: the certificate of the connection, as the trust in force judges it
//     now.
//  3. mapping: exactly one named user, or a refusal.
//  4. no certificate: other authenticators are asked; then strict refuses, or the
//     caller is the user Default.
//  5. policy: may this user, on this port, do this method on this path?
//
// A certificate that was sent and not accepted never becomes anything else: not
// Default, and not a question for a password. Every error is a refusal.
package middleware
