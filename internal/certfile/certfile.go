// Package certfile reads certificates and keys from PEM with or without text around it,
// DER, PKCS#12 and Java keystores.
//
// It is for files that a user names on a command line. Package trust reads the trust
// anchors of servers, and accepts fewer formats.
package certfile

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/internal/certchain"
	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/javaks"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
)

// Entry is a certificate chain, with its key if the file has one.
type Entry struct {
	Alias string              // in a Java keystore; otherwise the file's name without its extension
	Chain []*x509.Certificate // the leaf first; never empty
	Key   crypto.PrivateKey   // nil if the file has none

	// Replaced holds certificates that were left out because Chain has a better one of the
	// same holder: a certificate that was renewed under one key, for example.
	Replaced []*x509.Certificate

	// Locked is the error of a key in a Java keystore that has its own password. The
	// certificates of such an entry are readable.
	Locked error
}

// Passwords are the passwords of a keystore. If Key is empty, keys have the password of
// the store.
type Passwords struct{ Store, Key string }

// maxStoreBytes bounds the size of a file with certificates.
const maxStoreBytes = 16 << 20

// decodeTimeout bounds the time to decrypt a file: a file sets its own number of
// iterations.
const decodeTimeout = 20 * time.Second

// Read reads a file. The content determines the format. A file without a certificate, or
// with a damaged PEM block, is an error.
func Read(name string, p Passwords) ([]Entry, error) {
	data, err := ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(data) > maxStoreBytes {
		return nil, fileError(name, fmt.Sprintf("the file is larger than %d MiB", maxStoreBytes>>20), "name a file with certificates")
	}
	type result struct {
		entries []Entry
		err     error
	}
	done := make(chan result, 1)
	go func() {
		entries, err := parse(name, data, p)
		done <- result{entries, err}
	}()
	select {
	case r := <-done:
		return r.entries, r.err
	case <-time.After(decodeTimeout):
		return nil, fileError(name, fmt.Sprintf("decrypting the file takes longer than %s", decodeTimeout), "its number of iterations is too high: export the file again")
	}
}

func parse(name string, data []byte, p Passwords) ([]Entry, error) {
	alias := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	switch javaks.FormatOf(data) {
	case javaks.JKS:
		return readJKS(name, data, p)
	case javaks.JCEKS:
		return nil, fileform.Explain(name, data, fileform.Any)
	case javaks.DER:
		if c, err := x509.ParseCertificate(data); err == nil {
			return []Entry{{Alias: alias, Chain: []*x509.Certificate{c}}}, nil
		}
		if algorithm.IsUnsupportedCurve(data) {
			_, err := algorithm.ParseCertificate(data)
			return nil, fileError(name, "the certificate cannot be parsed: "+err.Error(), fileform.Show(name, 1, data))
		}
		if e := fileform.Explain(name, data, fileform.Any); e != nil {
			return nil, e
		}
		return readPKCS12(name, alias, data, p.Store)
	}
	if e := fileform.Explain(name, data, fileform.Any); e != nil {
		return nil, e
	}
	return readPEM(name, alias, data)
}

// readPEM reads the certificates of a file as one chain, and the key.
func readPEM(name, alias string, data []byte) ([]Entry, error) {
	e := Entry{Alias: alias}
	err := pemfile.Each(name, data, func(b pemfile.Block) error {
		if err := e.addBlock(b); err != nil {
			return lineError(name, b.Line, err.Error(), fileform.Show(name, b.Line, b.Bytes))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(e.Chain) == 0 {
		return nil, fileError(name, "the file has no certificate", "name a certificate in PEM or DER, a PKCS#12 file or a Java keystore")
	}
	e.choose()
	return []Entry{e}, nil
}

// SetKey sets the key, which stands in a file of its own, and puts its certificate first if
// the file has several that fit. It reports whether the first certificate is the key's.
func (e *Entry) SetKey(key crypto.PrivateKey) bool {
	e.Key = key
	e.choose()
	return KeyMatches(key, e.Chain[0])
}

// choose builds the chain of the key if the order of the file does not show it.
func (e *Entry) choose() {
	if certchain.IsAmbiguous(e.Key, e.Chain) {
		e.Chain, e.Replaced = orderChain(e.Key, e.Chain)
	}
}

// addBlock adds the certificate or the key of a block to the entry.
func (e *Entry) addBlock(block pemfile.Block) error {
	if block.Label == "CERTIFICATE" {
		c, err := algorithm.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("the certificate cannot be parsed: %w", err)
		}
		e.Chain = append(e.Chain, c)
		return nil
	}
	key, err := fileform.ParseKey(block.Label, block.Headers, block.Bytes)
	switch {
	case err != nil:
		return err
	case key == nil: // parameters, requests and CRLs are skipped
	case e.Key != nil:
		return errors.New("the file has two keys")
	default:
		e.Key = key
	}
	return nil
}

// ReadKey reads the private key from a PEM file.
func ReadKey(name string) (crypto.PrivateKey, error) {
	data, err := ReadFile(name)
	if err != nil {
		return nil, err
	}
	if e := fileform.Explain(name, data, fileform.Key); e != nil {
		return nil, e
	}
	var key crypto.PrivateKey
	err = pemfile.Each(name, data, func(b pemfile.Block) error {
		found, err := fileform.ParseKey(b.Label, b.Headers, b.Bytes)
		if err != nil {
			return lineError(name, b.Line, err.Error(), fileform.Show(name, b.Line, b.Bytes))
		}
		if key == nil {
			key = found
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case key == nil:
		return nil, fileError(name, "the file has no private key", "name a private key in PEM (BEGIN PRIVATE KEY)")
	}
	return key, nil
}

// KeyMatches reports whether a certificate has the public key of a private key.
func KeyMatches(key crypto.PrivateKey, c *x509.Certificate) bool { return certchain.IsKeyOf(key, c) }

func fileError(name, what, hint string) error { return lineError(name, 0, what, hint) }

func lineError(name string, line int, what, hint string) error {
	return &configerror.Error{File: name, Line: line, What: what, Hint: hint}
}
