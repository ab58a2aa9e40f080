package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// keep returns the key in a file, or a new one if there is no file or it holds another type of
// key.
func keep(path, kind string) (crypto.Signer, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newKey(kind)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM; remove it for a new key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it for a new key", path, err)
	}
	if signer, ok := key.(crypto.Signer); ok && kindOf(signer) == kind {
		return signer, nil
	}
	return newKey(kind)
}

func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "p224":
		return ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case "p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	if digits, ok := strings.CutPrefix(kind, "rsa"); ok {
		if bits, err := strconv.Atoi(digits); err == nil {
			return rsa.GenerateKey(rand.Reader, bits)
		}
	}
	return nil, fmt.Errorf("%q is not a type of key", kind)
}

func kindOf(key crypto.Signer) string {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return "p" + strconv.Itoa(k.Curve.Params().BitSize)
	case ed25519.PrivateKey:
		return "ed25519"
	case *rsa.PrivateKey:
		return "rsa" + strconv.Itoa(k.N.BitLen())
	}
	return ""
}

func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
