package keystore

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
)

// blocks collects the certificates and keys of one or two PEM files.
type blocks struct {
	chain []*x509.Certificate
	key   crypto.PrivateKey
	keys  int
}

// parsePEM returns the key and the certificates in one or two PEM files. Certificates in the key's file
// are parsed and then ignored: some tools repeat the certificate beside the key.
func (s *source) parsePEM() (crypto.PrivateKey, []*x509.Certificate, error) {
	var b blocks
	var wrong errorlist.List
	wrong.Merge(pemfile.Each(s.name, s.data, b.adder(s.name)), configerror.Error{File: s.name})
	if s.keyData != nil {
		if b.keys > 0 {
			wrong.Add(configerror.Error{File: s.name, What: "the file has a key, and Key names another file", Hint: "leave Key empty"})
		}
		chain := b.chain
		wrong.Merge(pemfile.Each(s.keyName, s.keyData, b.adder(s.keyName)), configerror.Error{File: s.keyName})
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
		return nil, nil, err
	}
	return b.key, b.chain, nil
}

// adder returns a function that adds a block of a file. Its errors quote no content of keys,
// which is secret.
func (b *blocks) adder(file string) func(pemfile.Block) error {
	return func(block pemfile.Block) error {
		switch {
		case block.Label == "CERTIFICATE":
			c, err := algorithm.ParseCertificate(block.Bytes)
			if err != nil {
				return &configerror.Error{What: "the certificate cannot be parsed: " + err.Error(), Hint: fileform.Show(file, block.Line, block.Bytes)}
			}
			b.chain = append(b.chain, c)
			return nil
		case block.Label == "EC PARAMETERS": // openssl ecparam writes them beside the key, which repeats them
			return nil
		case !strings.HasSuffix(block.Label, "PRIVATE KEY"):
			return &configerror.Error{What: fmt.Sprintf("a block of the type %q", block.Label), Hint: "only certificates and one private key"}
		}
		key, err := fileform.ParseKey(block.Label, block.Headers, block.Bytes)
		b.keys++
		switch {
		case err != nil:
			return &configerror.Error{What: err.Error(), Hint: fileform.Show(file, block.Line, block.Bytes)}
		case b.keys > 1:
			return &configerror.Error{What: "a second key", Hint: "one key in each file"}
		}
		b.key = key
		return nil
	}
}
