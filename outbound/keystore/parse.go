package keystore

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certchain"
	"github.com/mtlsguard/mtlsguard/internal/fileform"
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

// parse returns the credentials in the files: one, or several if the key has several certificates.
// The one that is valid now and began last comes first. The content shows the format.
func (s *source) parse(now time.Time) ([]tls.Certificate, error) {
	key, all, err := s.read()
	if err != nil {
		return nil, err
	}
	leaves := certchain.Leaves(key, all, now)
	if isPEM := javaks.FormatOf(s.data) == javaks.Other; isPEM && !certchain.IsAmbiguous(key, all) {
		return []tls.Certificate{{Certificate: rawOf(all), PrivateKey: key}}, nil // as the file has it
	}
	if len(leaves) == 0 {
		return nil, s.fail("no certificate in the file belongs to the key", "export certificate and key together")
	}
	var out []tls.Certificate
	for _, leaf := range leaves {
		chain := certchain.Build(leaf, all, now)
		if last := chain[len(chain)-1]; len(chain) > 1 && string(last.RawIssuer) == string(last.RawSubject) {
			chain = chain[:len(chain)-1] // servers have the anchor
		}
		out = append(out, tls.Certificate{Certificate: rawOf(chain), PrivateKey: key})
	}
	return out, nil
}

func rawOf(all []*x509.Certificate) (out [][]byte) {
	for _, c := range all {
		out = append(out, c.Raw)
	}
	return out
}

// read returns the key and the certificates in the files.
func (s *source) read() (crypto.PrivateKey, []*x509.Certificate, error) {
	format := javaks.FormatOf(s.data)
	switch {
	case format != javaks.Other && s.keyData != nil:
		return nil, nil, s.fail("only a PEM file can have its key in another file", "leave Key empty")
	case format != javaks.JKS && s.entry != "":
		return nil, nil, s.fail("only a Java keystore (JKS) has entries", "leave Entry empty")
	}
	if err := s.explain(); err != nil {
		return nil, nil, err
	}
	switch {
	case format == javaks.DER:
		return s.parsePKCS12()
	case format == javaks.JKS:
		return s.parseJKS()
	}
	return s.parsePEM()
}

// explain returns what the files are if they are nothing that parse reads.
func (s *source) explain() error {
	want := fileform.Credential
	if s.keyData != nil {
		want = fileform.Chain
		if e := fileform.Explain(s.keyName, s.keyData, fileform.Key); e != nil {
			return e
		}
	}
	if e := fileform.Explain(s.name, s.data, want); e != nil {
		return e
	}
	return nil
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
