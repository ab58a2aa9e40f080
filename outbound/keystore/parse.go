package keystore

import (
	"crypto/tls"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/javaks"
)

// source is the content of one file, or of two, and what is needed to parse it.
type source struct {
	name, keyName string
	data, keyData []byte // keyData is PEM; nil if the key is in data
	entry         string // in a Java keystore
	password      func() (string, error)
	keyPassword   func() (string, error)
}

// parse returns the credential in the files. The content shows the format.
func (s *source) parse() (tls.Certificate, error) {
	format := javaks.FormatOf(s.data)
	switch {
	case format == javaks.JCEKS:
		return tls.Certificate{}, s.fail("this is a JCEKS keystore", "keytool -importkeystore -deststoretype PKCS12 converts it")
	case format != javaks.Other && s.keyData != nil:
		return tls.Certificate{}, s.fail("only a PEM file can have its key in another file", "leave Key empty")
	case format != javaks.JKS && s.entry != "":
		return tls.Certificate{}, s.fail("only a Java keystore (JKS) has entries", "leave Entry empty")
	case format == javaks.DER:
		return s.parsePKCS12()
	case format == javaks.JKS:
		return s.parseJKS()
	}
	return s.parsePEM()
}

func (s *source) fail(what, hint string) error {
	return &configerror.Error{File: s.name, What: what, Hint: hint}
}

// callPassword calls a password function; nil means an empty password.
func (s *source) callPassword(get func() (string, error)) (string, error) {
	if get == nil {
		return "", nil
	}
	password, err := get()
	if err != nil {
		return "", s.fail("the password cannot be obtained: "+err.Error(), "check the Password function")
	}
	return password, nil
}
