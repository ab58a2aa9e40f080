package middleware

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Authenticator names a caller who sent no certificate. Who sent one is never
// asked anything else.
type Authenticator interface {
	// Authenticate returns a user, or "" where it has no opinion, or an error where
	// credentials were sent and are not right. An error ends the request: no other
	// authenticator is asked, and the caller does not become Default.
	Authenticate(*http.Request) (user string, err error)
}

// Challenger is an Authenticator that has something to say in WWW-Authenticate
// (RFC 9110 section 11.6.1). With one, a caller without a certificate is refused
// with 401 and the challenge, not 403.
type Challenger interface {
	Challenge() string
}

// ErrCredentials is what an Authenticator answers to wrong credentials.
var ErrCredentials = errors.New("the credentials are not right")

// Basic is HTTP Basic authentication (RFC 7617).
type Basic struct {
	// Realm is named in the challenge.
	Realm string
	// Check says whether a password is a user's. It is called for every request
	// without a certificate that carries a password, and must take the same time for
	// users that exist and users that do not. Passwords makes one.
	Check func(ctx context.Context, user, password string) (bool, error)
}

// Authenticate implements Authenticator.
func (b Basic) Authenticate(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	if !slices.ContainsFunc(values, isBasic) {
		return "", nil
	}
	user, password, ok := r.BasicAuth()
	if !ok || len(values) != 1 || !username.IsUser(user) || b.Check == nil {
		return "", ErrCredentials // fail closed: something was sent, and it is no good
	}
	right, err := b.Check(r.Context(), user, password)
	if err != nil {
		return "", err
	}
	if !right {
		return "", ErrCredentials
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

// Passwords returns a check for Basic against fixed passwords by user. It compares
// in constant time and takes as long for an unknown user. It is meant for a few
// technical users; people's passwords belong behind a slow hash.
func Passwords(byUser map[string]string) func(ctx context.Context, user, password string) (bool, error) {
	type digest = [sha256.Size]byte
	digests := make(map[string]digest, len(byUser))
	for user, password := range byUser {
		if password == "" {
			continue // fail closed: an empty password is a password that nobody has set
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
