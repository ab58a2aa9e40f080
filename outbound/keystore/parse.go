package keystore

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// source is one file, or two, with what is needed to read them.
type source struct {
	name, keyName string
	data, keyData []byte // keyData is PEM; nil where the key is in data
	inside        string // the entry of a Java keystore
	password      func() (string, error)
	keyPassword   func() (string, error)
}

// parse tells the format by the content.
func (s *source) parse() (c tls.Certificate, err error) {
	defer func() {
		// The libraries for PKCS#12 and JKS were not written for hostile files.
		if r := recover(); r != nil {
			c, err = tls.Certificate{}, s.wrong("the file cannot be read", "")
		}
	}()
	switch format := formatOf(s.data); {
	case format == jceks:
		return c, s.wrong("this is a JCEKS keystore", "keytool -importkeystore -deststoretype PKCS12 converts it")
	case format != pemText && s.keyData != nil:
		return c, s.wrong("a key in a file of its own goes with PEM only", "leave Key empty")
	case format != jks && s.inside != "":
		return c, s.wrong("only a Java keystore has entries to choose from", "leave Entry empty")
	case format == pkcs12DER:
		return s.parsePKCS12()
	case format == jks:
		return s.parseJKS()
	}
	return s.parsePEM()
}

type format int

const (
	pemText format = iota
	pkcs12DER
	jks
	jceks
)

func formatOf(data []byte) format {
	switch {
	case bytes.HasPrefix(data, []byte{0x30}): // a DER SEQUENCE
		return pkcs12DER
	case bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return jks
	case bytes.HasPrefix(data, []byte{0xce, 0xce, 0xce, 0xce}):
		return jceks
	}
	return pemText
}

func (s *source) wrong(what, hint string) error {
	return &configerror.Error{File: s.name, What: what, Hint: hint}
}

// secret asks for a password; none is the empty one.
func (s *source) secret(ask func() (string, error)) (string, error) {
	if ask == nil {
		return "", nil
	}
	password, err := ask()
	if err != nil {
		return "", s.wrong("the password is not to be had: "+err.Error(), "")
	}
	return password, nil
}

// assemble finds the leaf by its key, and the way from it up to its anchor, which
// is left out. Other certificates of the file are none of it.
func assemble(key crypto.PrivateKey, all []*x509.Certificate) (tls.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return tls.Certificate{}, fmt.Errorf("a key of type %T cannot sign", key)
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return tls.Certificate{}, fmt.Errorf("a key of type %T cannot be compared", key)
	}
	var at *x509.Certificate
	for _, c := range all {
		if public.Equal(c.PublicKey) {
			at = c
			break
		}
	}
	if at == nil {
		return tls.Certificate{}, errors.New("no certificate in the file belongs to the key")
	}
	out := tls.Certificate{PrivateKey: key}
	for at != nil && len(out.Certificate) <= len(all) { // authorities may certify each other
		out.Certificate = append(out.Certificate, at.Raw)
		at = issuerOf(at, all)
	}
	return out, nil
}

// issuerOf returns an intermediate that signed c, or nil.
func issuerOf(c *x509.Certificate, all []*x509.Certificate) *x509.Certificate {
	for _, i := range all {
		if bytes.Equal(c.RawIssuer, i.RawSubject) && !bytes.Equal(i.RawIssuer, i.RawSubject) && !i.Equal(c) && c.CheckSignatureFrom(i) == nil {
			return i
		}
	}
	return nil
}
