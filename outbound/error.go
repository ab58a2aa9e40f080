package outbound

import (
	"errors"
	"fmt"
)

// Errors of a call before anything is dialled. Find them with errors.Is in the *Error of
// RoundTrip. A certificate that is not valid now is a *reason.Refusal with the reason
// expired or not-yet-valid; a closed Transport is net.ErrClosed; an error of Config.Allow
// is returned as it is.
var (
	// ErrNoIdentity means that the context chose no identity and there is no
	// Config.Default.
	ErrNoIdentity = errors.New("no identity was chosen, and there is no default: use As, AsDefault or AsNobody")
	// ErrUnknownAlias means that the keystore does not know the alias. Keystores return it.
	ErrUnknownAlias = errors.New("the keystore does not know the alias")
	// ErrOrigin means that the credential must not be presented there: its origins do not
	// include the URL's, the URL is not https, or a redirect led to another origin under
	// CrossOrigin Refuse.
	ErrOrigin = errors.New("the credential is not for this origin")
)

// Errors of a handshake.
var (
	// ErrNotAsked means that the server did not request a certificate, under Config.MustBeAsked.
	ErrNotAsked = errors.New("the server did not request a certificate")
	// ErrServerRefused means that the server sent an alert about the certificate. The
	// error also holds a *reason.Refusal with the reason.
	ErrServerRefused = errors.New("the server refused the certificate")
)

// Error is the error of a call, with its identity and destination.
type Error struct {
	Alias  string // "" for a call without a certificate, and where none was chosen
	Origin string // such as "https://api.partner.example"
	Err    error
}

// Error returns the alias, the origin and the cause.
func (e *Error) Error() string {
	identity := "without a certificate "
	switch {
	case e.Alias != "":
		identity = fmt.Sprintf("as %q ", e.Alias)
	case errors.Is(e.Err, ErrNoIdentity):
		identity = ""
	}
	return "outbound: " + identity + "to " + e.Origin + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether the cause is a timeout. http.Client calls it.
func (e *Error) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](e.Err)
	return ok && t.Timeout()
}
