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
	"github.com/mtlsguard/mtlsguard/internal/javaks"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
)

// Entry is a certificate chain, with its key if the file has one.
type Entry struct {
	Alias string              // in a Java keystore; otherwise the file's name without its extension
	Chain []*x509.Certificate // the leaf first, in the order of the file; never empty
	Key   crypto.PrivateKey   // nil if the file has none

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
		return nil, fileError(name, fmt.Sprintf("decrypting the file takes longer than %s", decodeTimeout), "its number of iterations is too high: write the file again with openssl or keytool")
	}
}

func parse(name string, data []byte, p Passwords) ([]Entry, error) {
	alias := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	switch javaks.FormatOf(data) {
	case javaks.JKS:
		return readJKS(name, data, p)
	case javaks.JCEKS:
		return nil, fileError(name, "this is a JCEKS keystore", "keytool -importkeystore -srckeystore FILE -destkeystore NEW.p12 -deststoretype PKCS12 converts it")
	case javaks.DER:
		if c, err := x509.ParseCertificate(data); err == nil {
			return []Entry{{Alias: alias, Chain: []*x509.Certificate{c}}}, nil
		}
		return readPKCS12(name, alias, data, p.Store)
	}
	return readPEM(name, alias, data)
}

const pemHint = "openssl x509 or openssl pkey, with -in FILE -noout -text, may show the error"

// readPEM reads the certificates of a file as one chain, and the key.
func readPEM(name, alias string, data []byte) ([]Entry, error) {
	e := Entry{Alias: alias}
	err := pemfile.Each(name, data, func(b pemfile.Block) error {
		if err := e.addBlock(b); err != nil {
			return lineError(name, b.Line, err.Error(), pemHint)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(e.Chain) == 0 {
		return nil, fileError(name, "the file has no certificate", "name a certificate in PEM or DER, a PKCS#12 file or a Java keystore")
	}
	return []Entry{e}, nil
}

// addBlock adds the certificate or the key of a block to the entry.
func (e *Entry) addBlock(block pemfile.Block) error {
	if block.Label == "CERTIFICATE" || block.Label == "TRUSTED CERTIFICATE" {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("the certificate cannot be parsed: %w", err)
		}
		e.Chain = append(e.Chain, c)
		return nil
	}
	key, err := parseKey(block)
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

// parseKey returns the key of a block, or nil if the block has another type. Its errors
// quote no content, which could be secret.
func parseKey(block pemfile.Block) (crypto.PrivateKey, error) {
	var key any
	var err error
	switch block.Label {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the key is encrypted: openssl pkey -in FILE -out NEWFILE decrypts it")
	default:
		return nil, nil
	}
	switch {
	case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, errors.New("the key is encrypted: openssl pkey -in FILE -out NEWFILE decrypts it")
	case err != nil:
		return nil, errors.New("the key cannot be parsed")
	}
	return key, nil
}

// ReadKey reads the private key from a PEM file.
func ReadKey(name string) (crypto.PrivateKey, error) {
	data, err := ReadFile(name)
	if err != nil {
		return nil, err
	}
	var key crypto.PrivateKey
	err = pemfile.Each(name, data, func(b pemfile.Block) error {
		found, err := parseKey(b)
		if err != nil {
			return lineError(name, b.Line, err.Error(), pemHint)
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
func KeyMatches(key crypto.PrivateKey, c *x509.Certificate) bool { return javaks.IsKeyOf(key, c) }

func fileError(name, what, hint string) error { return lineError(name, 0, what, hint) }

func lineError(name string, line int, what, hint string) error {
	return &configerror.Error{File: name, Line: line, What: what, Hint: hint}
}
