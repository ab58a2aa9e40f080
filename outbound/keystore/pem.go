package keystore

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
)

// blocks collects the certificates and keys of one or two PEM files.
type blocks struct {
	chain [][]byte
	key   crypto.PrivateKey
	keys  int
}

// parsePEM returns the credential in one or two PEM files. Certificates in the key's file
// are parsed and then ignored: some tools repeat the certificate beside the key.
func (s *source) parsePEM() (tls.Certificate, error) {
	var b blocks
	var wrong errorlist.List
	wrong.Merge(pemfile.Each(s.name, s.data, b.add), configerror.Error{File: s.name})
	if s.keyData != nil {
		if b.keys > 0 {
			wrong.Add(configerror.Error{File: s.name, What: "the file has a key, and Key names another file", Hint: "leave Key empty"})
		}
		chain := b.chain
		wrong.Merge(pemfile.Each(s.keyName, s.keyData, b.add), configerror.Error{File: s.keyName})
		b.chain = chain
	}
	if wrong.Len() == 0 {
		switch {
		case len(b.chain) == 0:
			wrong.Add(configerror.Error{File: s.name, What: "the file has no certificate", Hint: "PEM with the leaf, its intermediates, and the key; PKCS#12; or JKS"})
		case b.keys == 0:
			wrong.Add(configerror.Error{File: s.name, What: "the file has no key", Hint: "add the key to the file, or name its file in Key"})
		}
	}
	if err := wrong.Err(); err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: b.chain, PrivateKey: b.key}, nil
}

// add adds a block. Its errors quote no content of keys, which is secret.
func (b *blocks) add(block pemfile.Block) error {
	encrypted := &configerror.Error{What: "the key is encrypted", Hint: "openssl pkey -in FILE -out NEWFILE decrypts it; or use PKCS#12"}
	var key any
	var err error
	switch block.Label {
	case "CERTIFICATE":
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return &configerror.Error{What: "the certificate cannot be parsed: " + err.Error(), Hint: "openssl x509 -in FILE -noout -text may show the error"}
		}
		b.chain = append(b.chain, block.Bytes)
		return nil
	case "EC PARAMETERS": // openssl ecparam writes them beside the key, which repeats them
		return nil
	case "ENCRYPTED PRIVATE KEY":
		return encrypted
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return &configerror.Error{What: fmt.Sprintf("a block of the type %q", block.Label), Hint: "only certificates and one private key"}
	}
	b.keys++
	switch {
	case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return encrypted
	case err != nil:
		return &configerror.Error{What: "the key cannot be parsed", Hint: "openssl pkey -in FILE -noout -text may show the error"}
	case b.keys > 1:
		return &configerror.Error{What: "a second key", Hint: "one key in each file"}
	}
	b.key = key
	return nil
}
