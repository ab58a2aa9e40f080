package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
)

// Digest is a SHA-256: of a leaf's DER (its fingerprint) or of a public key (its
// spki). It is comparable, and compared as bytes.
type Digest [sha256.Size]byte

// FingerprintOf is the SHA-256 of the whole DER of a certificate.
func FingerprintOf(c *x509.Certificate) Digest { return sha256.Sum256(c.Raw) }

// SPKIOf is the SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 5280 section
// 4.1.2.7). It survives a renewal that keeps the key.
func SPKIOf(c *x509.Certificate) Digest { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// String returns lower-case hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether the digest was never set.
func (d Digest) IsZero() bool { return d == Digest{} }

// errDigest is what ParseDigest answers to text that is no SHA-256.
var errDigest = errors.New("not a SHA-256: 64 hex digits are wanted, with or without colons and \"sha256:\"")

// ParseDigest reads a SHA-256 from hex in either case, with or without colons
// between the bytes and with or without "sha256:" in front. It must be whole: a
// prefix of a digest is no digest.
func ParseDigest(text string) (Digest, error) {
	rest := text
	if len(rest) >= 7 && strings.EqualFold(rest[:7], "sha256:") {
		rest = rest[7:]
	}
	if strings.Contains(rest, ":") {
		if len(rest) != 3*sha256.Size-1 {
			return Digest{}, errDigest
		}
		for i := 2; i < len(rest); i += 3 {
			if rest[i] != ':' {
				return Digest{}, errDigest
			}
		}
		rest = strings.ReplaceAll(rest, ":", "")
	}
	if len(rest) != 2*sha256.Size {
		return Digest{}, errDigest
	}
	var d Digest
	if _, err := hex.Decode(d[:], []byte(rest)); err != nil {
		return Digest{}, errDigest
	}
	return d, nil
}
