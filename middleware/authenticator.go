package middleware

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Authenticator names a caller who sent no certificate. It is not called for a request with a
// certificate.
type Authenticator interface {
	// Authenticate returns a user, or "" where it has no opinion, or an error where
	// credentials were sent and are wrong. An error refuses the request with 401 and
	// reason.BadCredentials: no other authenticator is called, and the caller does not become
	// Default. A *CredentialsError gives the log the user name that was sent.
	Authenticate(*http.Request) (user string, err error)
}

// Challenger is an Authenticator with a challenge for WWW-Authenticate (RFC 9110 section
// 11.6.1). On a port with one, a caller without a certificate is refused with 401 and the
// challenge, not with 403. RFC 9110 requires a challenge in every 401.
type Challenger interface {
	// Challenge returns one challenge. It is called once, when the Guard is configured.
	Challenge() string
}

// CredentialsError is the error that an Authenticator returns for wrong credentials. User is
// the name that was sent, or empty: the log has it, escaped. It is no result of Authenticate,
// so that it is not read as a user's name.
type CredentialsError struct{ User string }

// Error returns a text without the name: it does not repeat what a caller sent.
func (e *CredentialsError) Error() string { return "the credentials are wrong" }

// Basic is HTTP Basic authentication (RFC 7617).
type Basic struct {
	// Realm is the realm of the challenge.
	Realm string
	// Check reports whether a password is a user's. It is called for every request
	// without a certificate that carries a password, and must take the same time for
	// users that exist and users that do not. Passwords returns one. nil accepts no password.
	Check func(ctx context.Context, user, password string) (bool, error)
}

// Authenticate implements Authenticator. It is safe for concurrent use if Check is.
func (b Basic) Authenticate(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	if !slices.ContainsFunc(values, isBasic) {
		return "", nil
	}
	user, password, ok := r.BasicAuth()
	if !ok || len(values) != 1 || !username.IsUser(user) || b.Check == nil {
		return "", &CredentialsError{user} // fail closed: credentials were sent, and they are malformed
	}
	right, err := b.Check(r.Context(), user, password)
	if err != nil {
		return "", err
	}
	if !right {
		return "", &CredentialsError{user}
	}
	return user, nil
}

// isBasic reports whether credentials are for Basic, well-formed or not.
func isBasic(credentials string) bool {
	scheme := credentials
	if i := strings.IndexAny(credentials, " \t"); i >= 0 {
		scheme = credentials[:i]
	}
	return strings.EqualFold(scheme, "basic")
}

// Challenge implements Challenger.
func (b Basic) Challenge() string {
	realm := strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, b.Realm)
	return `Basic realm="` + realm + `", charset="UTF-8"`
}

// Passwords returns a Check for Basic that compares with fixed passwords by user. It compares
// in constant time and takes as long for an unknown user. It is meant for a few
// technical users; people's passwords belong behind a slow hash. It is safe for concurrent use.
func Passwords(byUser map[string]string) func(ctx context.Context, user, password string) (bool, error) {
	type digest = [sha256.Size]byte
	digests := make(map[string]digest, len(byUser))
	for user, password := range byUser {
		if password == "" {
			continue // fail closed: an empty password is one that was not set
		}
		digests[user] = sha256.Sum256([]byte(password))
	}
	return func(_ context.Context, user, password string) (bool, error) {
		want, known := digests[user]
		got := sha256.Sum256([]byte(password))
		same := subtle.ConstantTimeCompare(want[:], got[:]) == 1
		return same && known, nil
	}
}
