package apacheconf

import "testing"

// The hashes are those of htpasswd and openssl passwd.
func TestPasswords(t *testing.T) {
	t.Parallel()
	for hash, want := range map[string]verdict{
		"xxj31ZMTZzkVA": same, "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=": same, "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1": same,
		"{SHA}": other, "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=": other, "$apr1$abcdefgi$FBwExRW4dCc8aL.OvjpIE1": other, "$apr1$abcdefgh$": other,
		"": unknown, "password": unknown, "xxj31ZMTZzkVB": unknown, "$2y$05$x": unknown, "$apr1$abcdefgh": unknown, "$apr1$abcdefghi$x": unknown,
	} {
		if got := checkPassword(hash); got != want {
			t.Errorf("%q: %v", hash, got)
		}
	}
}
