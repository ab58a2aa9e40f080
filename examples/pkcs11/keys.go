package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"time"
)

// makeKeys makes the keys of the server and of a client in the token, and certificates for them by
// an authority whose key is discarded. A real authority gets a certificate request, which
// x509.CreateCertificateRequest signs with the same keys.
func makeKeys(t *token) error {
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "Token CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	if err := os.MkdirAll("pki", 0o700); err != nil {
		return err
	}
	if err := issue("ca", ca, ca, authority.Public(), authority); err != nil {
		return err
	}
	for i, name := range []string{"server", "billing"} {
		key, err := t.GenerateECDSAKeyPairWithLabel([]byte{byte(i + 1)}, []byte(name), elliptic.P256())
		if err != nil {
			return err
		}
		leaf := &x509.Certificate{Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
		if name == "server" {
			leaf.DNSNames, leaf.ExtKeyUsage = []string{"localhost"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
		if err := issue(name, leaf, ca, key.Public(), authority); err != nil {
			return err
		}
	}
	return nil
}

// issue writes the certificate for a public key to pki/NAME.pem.
func issue(name string, c, ca *x509.Certificate, public crypto.PublicKey, authority crypto.Signer) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = serial, time.Now().Add(-time.Minute), time.Now().AddDate(0, 3, 0)
	der, err := x509.CreateCertificate(rand.Reader, c, ca, public, authority)
	if err != nil {
		return err
	}
	return os.WriteFile("pki/"+name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}
