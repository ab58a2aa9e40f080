package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
)

// Digest is a SHA-256 digest: of a certificate's DER (its fingerprint) or of its public key
// (its SPKI). Digests can be compared with ==. The zero value is not a digest.
type Digest [sha256.Size]byte

// FingerprintOf returns the SHA-256 digest of a certificate's whole DER.
func FingerprintOf(c *x509.Certificate) Digest { return sha256.Sum256(c.Raw) }

// SPKIOf returns the SHA-256 digest of a certificate's SubjectPublicKeyInfo (RFC 5280 section
// 4.1.2.7). A renewed certificate with the same key has the same digest.
func SPKIOf(c *x509.Certificate) Digest { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// String returns the digest in lower-case hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the zero value.
func (d Digest) IsZero() bool { return d == Digest{} }

var errDigest = errors.New("not a SHA-256 digest: write 64 hex digits, with or without colons and \"sha256:\"")

// ParseDigest parses a SHA-256 digest in hex, in upper or lower case, with or without colons
// between the bytes, and with or without "sha256:" in front. It returns an error for a part
// of a digest.
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
