// Package keypair reads a server's certificate, its intermediates and its private key from PEM
// files, and reports what is wrong with them.
package keypair

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/internal/certchain"
	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
)

// Read reads a certificate, its intermediates and its key from two PEM files, or twice from
// one. of follows "the key" in errors, such as " of port internal". mismatch reports that both
// are readable and do not belong together.
func Read(of, certName, keyName string, certPEM, keyPEM []byte) (pair *tls.Certificate, mismatch bool, err error) {
	chain, err := readChain(certName, certPEM)
	keys, keyErr := readKeys(keyName, keyPEM)
	unusable := "the key" + of + " cannot be used: "
	for _, e := range configerror.All(keyErr) {
		e.What = unusable + e.What
	}
	if err != nil || keyErr != nil {
		return nil, false, errors.Join(err, keyErr)
	}
	out := &tls.Certificate{Leaf: chain[0].Certificate}
	for _, c := range chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	for _, key := range keys {
		if certchain.IsKeyOf(key, out.Leaf) {
			out.PrivateKey = key
			return out, false, nil
		}
	}
	e := &configerror.Error{File: keyName, Line: 1, What: fmt.Sprintf("%sit does not match the first certificate in %s (%s)", unusable, certName, out.Leaf.Subject)}
	for i, c := range chain {
		if certchain.IsKeyOf(keys[0], c.Certificate) {
			e.What += fmt.Sprintf("; it is the key of certificate %d there (%s)", i+1, c.Subject)
			e.Hint = "put that one first: " + fileform.ToFront(certName, certPEM, c.line)
			return nil, true, e
		}
	}
	e.Hint = "name a certificate and a key for which these print the same: " + fileform.PublicKeys(certName, keyName)
	return nil, true, e
}

// readKeys reads the private keys of a file.
func readKeys(name string, data []byte) ([]crypto.PrivateKey, error) {
	if e := fileform.Explain(name, data, fileform.Key); e != nil {
		return nil, e
	}
	var out []crypto.PrivateKey
	err := pemfile.Each(name, data, func(b pemfile.Block) error {
		key, err := fileform.ParseKey(b.Label, b.Headers, b.Bytes)
		if err != nil {
			return &configerror.Error{File: name, Line: b.Line, What: err.Error(), Hint: fileform.Show(name, b.Line, b.Bytes)}
		}
		if key != nil {
			out = append(out, key)
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = &configerror.Error{File: name, Line: 1, What: "the file holds no private key", Hint: "a PEM file with the key of the port's certificate (BEGIN PRIVATE KEY)"}
	}
	return out, err
}

// chainCertificate is a certificate and the line that it begins in.
type chainCertificate struct {
	*x509.Certificate
	line int
}

// readChain reads the certificates of a file. It rejects files that crypto/tls would read in
// part: a file that was cut off within an intermediate. Text and other blocks may stand
// around the certificates.
func readChain(name string, data []byte) (out []chainCertificate, err error) {
	if e := fileform.Explain(name, data, fileform.Chain); e != nil {
		return nil, e
	}
	err = pemfile.Each(name, data, func(b pemfile.Block) error {
		if b.Label != "CERTIFICATE" {
			return nil
		}
		c, err := algorithm.ParseCertificate(b.Bytes)
		if err != nil {
			return &configerror.Error{File: name, Line: b.Line, What: "the certificate cannot be read: " + err.Error(), Hint: fileform.Show(name, b.Line, b.Bytes)}
		}
		out = append(out, chainCertificate{c, b.Line})
		return nil
	})
	if err == nil && len(out) == 0 {
		err = &configerror.Error{File: name, Line: 1, What: "the file holds no certificate", Hint: "a PEM file with the certificate of the port, and its intermediates after it"}
	}
	return out, err
}
