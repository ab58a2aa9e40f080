package testkit

import (
	"crypto"
	"crypto/rsa"
	"errors"
	"io"
)

// OldToken is a key in a PKCS#11 token that does not support RSA-PSS.
type OldToken struct{ crypto.Signer }

// Sign returns the error of such a token, or a signature with PKCS #1 v1.5.
func (t OldToken) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, ok := opts.(*rsa.PSSOptions); ok {
		return nil, errors.New("pkcs11: 0x70: CKR_MECHANISM_INVALID")
	}
	return t.Signer.Sign(r, digest, opts)
}
