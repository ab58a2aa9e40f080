package fakeauth_test

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer/apacheconf/fakeauth"
)

// The hashes are those of htpasswd and openssl passwd.
func TestHashesAreThoseOfHtpasswd(t *testing.T) {
	t.Parallel()
	for hash, want := range map[string]fakeauth.Verdict{
		"xxj31ZMTZzkVA": fakeauth.Same, "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=": fakeauth.Same, "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1": fakeauth.Same,
		"{SHA}": fakeauth.Other, "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=": fakeauth.Other, "$apr1$abcdefgi$FBwExRW4dCc8aL.OvjpIE1": fakeauth.Other, "$apr1$abcdefgh$": fakeauth.Other,
		"": fakeauth.Unknown, "password": fakeauth.Unknown, "xxj31ZMTZzkVB": fakeauth.Unknown, "$2y$05$x": fakeauth.Unknown, "$apr1$abcdefgh": fakeauth.Unknown, "$apr1$abcdefghi$x": fakeauth.Unknown,
	} {
		if got := fakeauth.Check(hash); got != want {
			t.Errorf("%q: %v, want %v", hash, got, want)
		}
	}
}
