package main

import (
	"cmp"
	"crypto"
	"crypto/tls"
	"fmt"
	"os"

	"github.com/ThalesGroup/crypto11"

	"github.com/mtlsguard/mtlsguard/trust"
)

// token is a PKCS#11 token whose keys this program uses.
type token struct{ *crypto11.Context }

// openToken opens the token that the environment names.
func openToken() (*token, error) {
	library := cmp.Or(os.Getenv("PKCS11_MODULE"), "/usr/lib/softhsm/libsofthsm2.so")
	label := cmp.Or(os.Getenv("PKCS11_TOKEN"), "orders")
	c, err := crypto11.Configure(&crypto11.Config{Path: library, TokenLabel: label, Pin: os.Getenv("PKCS11_PIN")})
	if err != nil {
		return nil, fmt.Errorf("the token %q of %s: %w (set PKCS11_MODULE, PKCS11_TOKEN and PKCS11_PIN)", label, library, err)
	}
	return &token{c}, nil
}

// key returns a private key of the token. It signs in the token, and cannot be read.
func (t *token) key(label string) (crypto.Signer, error) {
	key, err := t.FindKeyPair(nil, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("the key with the label %q: %w (go run . keys makes it)", label, err)
	}
	return key, nil
}

// certificate returns the certificate of a file, with the key of the same name in the token.
func (t *token) certificate(label string) (tls.Certificate, error) {
	key, err := t.key(label)
	if err != nil {
		return tls.Certificate{}, err
	}
	chain, err := trust.Files("pki/" + label + ".pem")
	if err != nil {
		return tls.Certificate{}, err
	}
	out := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out, nil
}
