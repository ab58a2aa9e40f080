// Package trust verifies certificate chains.
//
//	verifier, err := trust.New(trust.Config{Anchors: anchors, CRLs: lists})
//	verified, err := verifier.Verify(ctx, presented) // leaf first, as the client sent them
//	fmt.Println(verified.Leaf().Subject, verified.Until())
//
// A Verifier is built from trust anchors, revocation lists, a profile and a clock. It never
// changes: to change the trust, make a new Verifier, which has a new generation. Verify
// builds the chains itself, from the certificates that the client presented. It does not use
// the chains of crypto/tls: those of a resumed session come from the session ticket. The
// result is a Verified, which only this package can make.
//
// Ports call Verify in every handshake, full or resumed. They and the guard call it again
// when the trust, the mapping or the clock has changed since, and for certificates that a
// gateway forwards.
//
// # What is refused
//
// Verify checks in this order: size (TooLarge), issuer (UnknownAuthority), structure and
// constraints (BadCertificate), an authority's own certificate (NotALeaf), keys and
// signatures (WeakKey), usage (WrongUsage), dates (Expired, NotYetValid) and revocation
// (Revoked, RevocationUnknown). Every error is a *reason.Refusal.
package trust
