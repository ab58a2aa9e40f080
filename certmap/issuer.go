package certmap

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/trust"
)

const issuerHint = "a file of the CA certificate, or the SHA-256 of its public key"

// issuerKey returns the key of an issuer: a digest, or the content of a file. If there is
// an error, it marks the issuer as wrong. The error of a file is reported once, for the
// first mapping that names it.
func (e *mappingReader) issuerKey(value *yaml.Node, name string) trust.Digest {
	text := value.Value
	if looksLikeDigest(text) {
		d, err := parseDigest(text)
		if err != nil {
			e.doc.Say(value, name+": "+escape.Quote(text, escape.Short)+" is "+err.Error(), issuerHint)
		}
		return d
	}
	key, known := e.issuers[text]
	if !known {
		var err error
		if key, err = e.readIssuerFile(text); err != nil {
			e.doc.Say(value, name+": "+err.Error(), issuerHint)
		}
		e.issuers[text] = key
	}
	e.wrong[fieldIssuer] = key.IsZero()
	return key
}

// readIssuerFile returns the key in a file, which is not zero, or an error.
func (l *loader) readIssuerFile(path string) (trust.Digest, error) {
	if strings.ContainsRune(path, 0) {
		return trust.Digest{}, errors.New(escape.Quote(path, escape.Short) + " is not a file name: it has a NUL")
	}
	if l.readIssuer == nil {
		return trust.Digest{}, errors.New(escape.Quote(path, escape.Short) + " is not a SHA-256, and no function reads files (WithIssuers)")
	}
	key, err := l.readIssuer(path)
	switch {
	case err != nil:
		return trust.Digest{}, err
	case key.IsZero():
		return trust.Digest{}, errors.New(escape.Quote(path, escape.Short) + " has no public key")
	}
	return key, nil
}

// looksLikeDigest reports whether a text is meant as a digest and not as a file name, so
// that the error about a mistyped digest names the digest.
func looksLikeDigest(text string) bool {
	if len(text) >= 7 && strings.EqualFold(text[:7], "sha256:") {
		return true
	}
	return len(text) >= 32 && strings.Trim(text, "0123456789abcdefABCDEF:") == ""
}
