// Package fakeauth knows the password that FakeBasicAuth of mod_ssl gives every user.
package fakeauth

import (
	"crypto/md5"  //nolint:gosec // a format of htpasswd; it protects nothing here
	"crypto/sha1" //nolint:gosec // the same
	"encoding/base64"
	"strings"
)

// fakePassword is the password of every user of FakeBasicAuth.
const fakePassword = "password"

// Verdict is whether a hash is that of fakePassword.
type Verdict int

const (
	Unknown Verdict = iota // the form of the hash is not one of those that Check reads
	Same
	Other
)

// Check reports whether a hash of an AuthUserFile is that of fakePassword. Otherwise no
// certificate is the user of the line.
func Check(hash string) Verdict {
	expected := ""
	switch {
	case hash == "xxj31ZMTZzkVA": // crypt(3), as the documentation of mod_ssl writes it
		return Same
	case strings.HasPrefix(hash, "{SHA}"):
		sum := sha1.Sum([]byte(fakePassword)) //nolint:gosec // see above
		expected = "{SHA}" + base64.StdEncoding.EncodeToString(sum[:])
	case strings.HasPrefix(hash, "$apr1$"):
		salt, _, ok := strings.Cut(hash[len("$apr1$"):], "$")
		if !ok || len(salt) > 8 {
			return Unknown
		}
		expected = "$apr1$" + salt + "$" + apr1(fakePassword, salt)
	default:
		return Unknown
	}
	if hash == expected {
		return Same
	}
	return Other
}

// apr1 returns the MD5 of htpasswd.
func apr1(password, salt string) string {
	inner := md5.Sum([]byte(password + salt + password)) //nolint:gosec // see above
	h := md5.New()                                       //nolint:gosec // see above
	h.Write([]byte(password + "$apr1$" + salt))
	for n := len(password); n > 0; n -= len(inner) {
		h.Write(inner[:min(n, len(inner))])
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 == 1 {
			h.Write([]byte{0})
		} else {
			h.Write([]byte(password[:1]))
		}
	}
	sum := h.Sum(nil)
	for i := range 1000 {
		h.Reset()
		if i&1 == 1 {
			h.Write([]byte(password))
		} else {
			h.Write(sum)
		}
		if i%3 != 0 {
			h.Write([]byte(salt))
		}
		if i%7 != 0 {
			h.Write([]byte(password))
		}
		if i&1 == 1 {
			h.Write(sum)
		} else {
			h.Write([]byte(password))
		}
		sum = h.Sum(sum[:0])
	}
	const digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var out []byte
	put := func(v uint32, n int) {
		for ; n > 0; n-- {
			out = append(out, digits[v&0x3f])
			v >>= 6
		}
	}
	for i := range 5 {
		last := i + 12
		if i == 4 {
			last = 5
		}
		put(uint32(sum[i])<<16|uint32(sum[i+6])<<8|uint32(sum[last]), 4)
	}
	put(uint32(sum[11]), 2)
	return string(out)
}
