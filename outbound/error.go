package outbound

import (
	"errors"
	"fmt"
)

// What a call fails with before anything is dialled. Each is found with errors.Is
// in the *Error that RoundTrip returns.
var (
	ErrNoIdentity   = errors.New("no identity was chosen, and there is no default: As, AsDefault or AsNobody")
	ErrUnknownAlias = errors.New("the keystore does not know the alias")
	ErrNotInForce   = errors.New("the certificate is not in force")
	ErrOrigin       = errors.New("the credential is not for this origin")
	ErrPlain        = errors.New("an identity goes over https only")
	ErrNotAllowed   = errors.New("the caller may not use the alias")
	ErrRedirected   = errors.New("a redirect to another origin would carry the identity along")
	ErrClosed       = errors.New("the transport is closed")
)

// What a handshake fails with.
var (
	// ErrNotAsked is a server that did not ask for a certificate, under
	// Config.MustBeAsked.
	ErrNotAsked = errors.New("the server did not ask for a certificate")
	// ErrServerRefused is an alert of the server about the certificate. The error
	// holds a *reason.Refusal too, with the word for it.
	ErrServerRefused = errors.New("the server refused the certificate")
)

// Error is the failure of a call: as whom, where to, and why.
type Error struct {
	Alias  string // empty for nobody, and where nobody was chosen yet
	Origin string // "https://api.partner.example"
	Err    error
}

// Error returns "outbound: as ALIAS to ORIGIN: why".
func (e *Error) Error() string {
	who := "as nobody "
	switch {
	case e.Alias != "":
		who = fmt.Sprintf("as %q ", e.Alias)
	case errors.Is(e.Err, ErrNoIdentity):
		who = ""
	}
	return "outbound: " + who + "to " + e.Origin + ": " + e.Err.Error()
}

// Unwrap returns why.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether time ran out; http.Client asks it.
func (e *Error) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err)
	return ok && t.Timeout()
}
