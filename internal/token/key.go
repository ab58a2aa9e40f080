package token

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
)

// ParseKey reads a file with one Ed25519 key in PEM (PKCS #8), as `openssl genpkey -algorithm
// ed25519` writes it.
func ParseKey(data []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(data)
	switch {
	case block == nil || block.Type != "PRIVATE KEY":
		return nil, errors.New("the file has no private key in PEM")
	case strings.TrimSpace(string(rest)) != "":
		return nil, errors.New("the file has more than one private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key cannot be read")
	}
	k, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("the private key is not of Ed25519")
	}
	return k, nil
}
