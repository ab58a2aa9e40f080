package main

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
)

// pair is a generated certificate with its key.
type pair struct {
	cert   *x509.Certificate
	key    crypto.Signer
	issuer *pair // nil: self-signed
}

// build returns the content of every file by name. It does not write files.
func build(dir string) (map[string][]byte, error) {
	s, err := readSpec(dir)
	if err != nil {
		return nil, err
	}
	files, made := map[string][]byte{}, map[string]*pair{}
	for i := range s.Certificates {
		c := &s.Certificates[i]
		if err := addCertificate(dir, c, made, files); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	for i := range s.CRLs {
		l := &s.CRLs[i]
		if err := addCRL(l, made, files); err != nil {
			return nil, fmt.Errorf("%s: %w", l.File, err)
		}
	}
	return files, nil
}

func addCertificate(dir string, c *certificate, made map[string]*pair, files map[string][]byte) error {
	if c.Name == "" || made[c.Name] != nil {
		return errors.New("the name is empty or a duplicate")
	}
	keyFile := c.Name + "-key.pem"
	key, err := keep(filepath.Join(dir, keyFile), c.Key)
	if err != nil {
		return err
	}
	p := &pair{key: key}
	if c.Issuer != "" {
		if p.issuer = made[c.Issuer]; p.issuer == nil {
			return fmt.Errorf("issuer %q is not an entry above it", c.Issuer)
		}
	}
	template, err := templateOf(c, made)
	if err != nil {
		return err
	}
	if p.cert, err = sign(template, p, c.Spoil); err != nil {
		return err
	}
	if p.cert, err = grow(template, p, c.Spoil); err != nil {
		return err
	}
	made[c.Name] = p
	files[c.Name+".pem"] = chainPEM(p)
	files[keyFile], err = keyPEM(key)
	return err
}

// chainPEM returns the certificates that a client presents: the leaf and its intermediates,
// without the self-signed authority.
func chainPEM(p *pair) []byte {
	out := certPEM(p)
	for p = p.issuer; p != nil && p.issuer != nil; p = p.issuer {
		out = append(out, certPEM(p)...)
	}
	return out
}

func certPEM(p *pair) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

func addCRL(l *list, made map[string]*pair, files map[string][]byte) error {
	issuer, signer := made[l.Issuer], made[l.SignedBy]
	if issuer == nil || signer == nil {
		return fmt.Errorf("issuer %q or signer %q is not an entry of certificates", l.Issuer, l.SignedBy)
	}
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate}
	for _, name := range l.Revokes {
		p := made[name]
		if p == nil {
			return fmt.Errorf("%q is not an entry of certificates", name)
		}
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: p.cert.SerialNumber, RevocationTime: l.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(nil, template, issuer.cert, signer.key)
	if err != nil {
		return err
	}
	files[l.File] = pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	if l.DER {
		files[l.File+".der"] = der
	}
	return nil
}

// serialOf derives a serial number of 16 bytes from a name.
func serialOf(name string) *big.Int {
	sum := sha256.Sum256([]byte("mtlsguard testdata/pki " + name))
	sum[0] = sum[0]&0x3f | 0x40 // positive and always 16 bytes
	return new(big.Int).SetBytes(sum[:16])
}
