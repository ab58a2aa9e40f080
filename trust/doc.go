// Package trust believes a certificate chain, or says why not.
//
// A Verifier is built from anchors, revocation lists, a profile and a clock, and
// never changes: a change of trust is a new Verifier with a new generation.
// Verify builds the chain itself from what was presented; it never uses chains
// that crypto/tls remembers, because those of a resumed session are replayed
// from the ticket. The result is a Verified, which nothing outside this package
// can make: holding one is the only way to be believed.
//
// The same Verify runs in the handshake, first or resumed, on a request whose
// connection is older than the trust in force or than the clock allows, and on
// certificates that a gateway states.
//
// # What is refused
//
// In this order: too much to read (TooLarge), an unknown issuer
// (UnknownAuthority), a certificate that cannot be used at all (BadCertificate),
// an authority's own certificate (NotALeaf), weak keys and signatures (WeakKey),
// the wrong usage (WrongUsage), dates (Expired, NotYetValid), revocation (Revoked,
// RevocationUnknown). Every error is a *reason.Refusal.
package trust
