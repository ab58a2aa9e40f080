package keystore

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// blocks are what one or two PEM files hold.
type blocks struct {
	chain [][]byte
	key   crypto.PrivateKey
	keys  int
	wrong errorlist.List
}

func (s *source) parsePEM() (tls.Certificate, error) {
	var b blocks
	b.read(s.name, s.data)
	if s.keyData != nil {
		if b.keys > 0 {
			b.wrong.Add(configerror.Error{File: s.name, What: "there is a key here, and another file for it", Hint: "leave Key empty"})
		}
		certificates := len(b.chain)
		b.read(s.keyName, s.keyData)
		b.chain = b.chain[:certificates] // some tools repeat the certificate beside the key
	}
	if b.wrong.Len() == 0 {
		switch {
		case len(b.chain) == 0:
			b.wrong.Add(configerror.Error{File: s.name, What: "there is no certificate", Hint: "PEM with the leaf, its intermediates, and the key; PKCS#12; or JKS"})
		case b.keys == 0:
			b.wrong.Add(configerror.Error{File: s.name, What: "there is no key", Hint: "put the key into the same file, or name its file in Key"})
		}
	}
	if err := b.wrong.Err(); err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: b.chain, PrivateKey: b.key}, nil
}

// read takes the blocks of a file. Text between them is fine, a block that cannot be
// read is not: encoding/pem would pass over it in silence.
func (b *blocks) read(name string, data []byte) {
	line, rest := 1, data
	say := func(what, hint string) {
		b.wrong.Add(configerror.Error{File: name, Line: line, What: what, Hint: hint})
	}
	begin, end := []byte("-----BEGIN "), []byte("-----END ")
	for {
		start := bytes.Index(rest, begin)
		if start < 0 {
			return
		}
		line += bytes.Count(rest[:start], []byte("\n"))
		rest = rest[start:]
		label, _, _ := bytes.Cut(rest[len(begin):], []byte("-----"))
		closing := append(append(bytes.Clone(end), label...), "-----"...)
		stop := bytes.Index(rest, closing)
		if len(label) > 64 || stop < 0 || bytes.Contains(rest[len(begin):stop], begin) {
			say("the PEM block has no end", "the file was cut off: copy it again")
			return
		}
		stop += len(closing)
		block, after := pem.Decode(rest[:stop])
		if block == nil || len(after) > 0 {
			say("a damaged PEM block", "copy the file again")
		} else {
			b.take(block, say)
		}
		line += bytes.Count(rest[:stop], []byte("\n"))
		rest = rest[stop:]
	}
}

func (b *blocks) take(block *pem.Block, say func(what, hint string)) {
	const convert = "openssl pkey -in FILE -out NEWFILE decrypts it; or use PKCS#12"
	var key any
	var err error
	switch block.Type {
	case "CERTIFICATE":
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			say("the certificate cannot be read: "+err.Error(), "openssl x509 -in FILE -noout -text shows what openssl makes of it")
			return
		}
		b.chain = append(b.chain, block.Bytes)
		return
	case "EC PARAMETERS": // openssl ecparam writes them beside the key, which repeats them
		return
	case "ENCRYPTED PRIVATE KEY":
		say("the key is encrypted", convert)
		return
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		say(fmt.Sprintf("a block of the type %q", block.Type), "certificates and one private key")
		return
	}
	switch b.keys++; {
	case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		say("the key is encrypted", convert)
	case err != nil:
		say("the key cannot be read", "openssl pkey -in FILE -noout -text shows what openssl makes of it") // err may quote it
	case b.keys > 1:
		say("a second key", "one key a file")
	default:
		b.key = key
	}
}
