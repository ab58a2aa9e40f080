package source

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
)

// signedPrefix comes before the manifest in what is signed: a signature of something else is
// never one of a generation.
const signedPrefix = "mtlsguard generation v1\x00"

// Signature is an Ed25519 signature (RFC 8032) of "mtlsguard generation v1", a zero byte, and a
// manifest.
type Signature struct {
	Key   Digest `json:"key"`   // of the public key in PKIX form; it only shows which key it was
	Value []byte `json:"value"` // 64 bytes
}

// Sign signs a manifest. The key is an ed25519.PrivateKey, or a crypto.Signer with such a key in
// a KMS or a PKCS #11 token.
func Sign(raw []byte, key crypto.Signer) (Signature, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return Signature{}, fmt.Errorf("the key is a %T: generations are signed with Ed25519", key.Public())
	}
	value, err := key.Sign(nil, append([]byte(signedPrefix), raw...), crypto.Hash(0))
	if err != nil {
		return Signature{}, fmt.Errorf("sign: %w", err)
	}
	return Signature{Key: keyDigest(public), Value: value}, nil
}

// keyDigest returns the digest of the PKIX form of a public key.
func keyDigest(key ed25519.PublicKey) Digest {
	der, _ := x509.MarshalPKIXPublicKey(key) // it knows Ed25519
	return DigestOf(der)
}

// Signers are the public keys that may sign the generations of a fleet.
type Signers []ed25519.PublicKey

// errSigner is wrapped by the error of Signers.Check.
var errSigner = errors.New("no signature of the manifest is by a trusted signer")

// Check returns nil if one of the signatures of g is by one of the keys.
func (s Signers) Check(g *Generation) error {
	message := append([]byte(signedPrefix), g.Raw...)
	for _, signature := range g.Signatures {
		for _, key := range s {
			if len(key) == ed25519.PublicKeySize && ed25519.Verify(key, message, signature.Value) {
				return nil
			}
		}
	}
	return fmt.Errorf("generation %d of fleet %q: %w", g.Manifest.Number, g.Manifest.Fleet, errSigner)
}

// LoadSigners reads Ed25519 public keys in PEM, as `openssl pkey -pubout` writes them. name is the name of the
// file in errors, which are configuration errors with file and line.
func LoadSigners(name string, data []byte) (Signers, error) {
	var out Signers
	err := pemfile.Each(name, data, func(b pemfile.Block) error {
		at := configerror.Error{File: name, Line: b.Line}
		if b.Label != "PUBLIC KEY" {
			at.What, at.Hint = fmt.Sprintf("the block is a %q", shorten(b.Label)), "write an Ed25519 public key: openssl pkey -in signer.pem -pubout"
			return &at
		}
		key, err := x509.ParsePKIXPublicKey(b.Bytes)
		if err != nil {
			at.What = "the public key cannot be parsed: " + err.Error()
			return &at
		}
		public, ok := key.(ed25519.PublicKey)
		if !ok {
			at.What, at.Hint = fmt.Sprintf("the key is a %T", key), "generations are signed with Ed25519: openssl genpkey -algorithm ed25519"
			return &at
		}
		out = append(out, public)
		return nil
	})
	if err == nil && len(out) == 0 {
		err = &configerror.Error{File: name, What: "there is no public key", Hint: "write an Ed25519 public key in PEM: openssl pkey -in signer.pem -pubout"}
	}
	return out, err
}

// sameSignatures reports whether two lists are the same.
func sameSignatures(a, b []Signature) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Key != b[i].Key || !bytes.Equal(a[i].Value, b[i].Value) {
			return false
		}
	}
	return true
}
