// Package identitykey has the key under which a request's context holds the identity of the
// caller. It is internal, so that other programs can read an identity and cannot set one: the
// guard sets it, and package mtlsguardtest in tests.
package identitykey

// Key is the key. Its value is a *identity.Identity, which must not change afterwards.
type Key struct{}
