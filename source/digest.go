package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Digest is a SHA-256 digest of a file or a manifest. Its text is 64 lower-case hexadecimal
// digits.
type Digest [sha256.Size]byte

// DigestOf returns the digest of data.
func DigestOf(data []byte) Digest { return sha256.Sum256(data) }

// String returns the digest in lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText returns the digest in lower-case hexadecimal digits.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 64 lower-case hexadecimal digits.
func (d *Digest) UnmarshalText(text []byte) error {
	var out Digest
	if n, err := hex.Decode(out[:], text[:min(len(text), 2*len(out))]); err != nil || n != len(out) || out.String() != string(text) {
		return fmt.Errorf("%q is not a SHA-256 digest of 64 lower-case hexadecimal digits", shorten(string(text)))
	}
	*d = out
	return nil
}

// shorten returns a text of at most 80 bytes for an error.
func shorten(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
