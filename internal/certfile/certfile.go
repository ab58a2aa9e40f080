// Package certfile reads whatever people keep certificates in, for commands that
// look at them: PEM with or without text around it, DER, PKCS#12, Java keystores.
//
// It is for files that somebody names on a command line. What a server believes is
// read by package trust, which takes less.
package certfile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// Entry is a certificate with what belongs to it.
type Entry struct {
	Alias string              // in a Java keystore; else the file's name without its ending
	Chain []*x509.Certificate // leaf first, as the file has it; never empty
	Key   crypto.PrivateKey   // nil where the file has none

	// Locked is why a key that is there could not be read, in a Java keystore whose key
	// has a password of its own. The certificates are good all the same.
	Locked error
}

// Passwords are those of a keystore. A key has that of its store where Key is empty.
type Passwords struct{ Store, Key string }

// maxStore is more than any keystore and any list of certificates that people name.
const maxStoreBytes = 16 << 20

// decoding bounds what a file can make the derivation of its keys cost.
const decodeTimeout = 20 * time.Second

// Read reads a file. The format is told by the content. A file without a certificate
// is a mistake; so is a PEM block that cannot be read, which others would pass over.
func Read(name string, p Passwords) ([]Entry, error) {
	data, err := ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(data) > maxStoreBytes {
		return nil, fileError(name, fmt.Sprintf("the file is larger than %d MiB", maxStoreBytes>>20), "is it the right file?")
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
		return nil, fileError(name, "the file takes too long to decrypt", "it asks for too many iterations: write it anew with openssl or keytool")
	}
}

func parse(name string, data []byte, p Passwords) (entries []Entry, err error) {
	defer func() {
		// The libraries for PKCS#12 and JKS were not written for hostile files.
		if r := recover(); r != nil {
			entries, err = nil, fileError(name, "the file cannot be read", "openssl or keytool show what they make of it")
		}
	}()
	alias := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
	switch {
	case bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return readJKS(name, data, p)
	case bytes.HasPrefix(data, []byte{0xce, 0xce, 0xce, 0xce}):
		return nil, fileError(name, "this is a JCEKS keystore", "keytool -importkeystore -srckeystore FILE -destkeystore NEW.p12 -deststoretype PKCS12 converts it")
	case bytes.HasPrefix(data, []byte{0x30}): // a DER SEQUENCE
		if c, err := x509.ParseCertificate(data); err == nil {
			return []Entry{{Alias: alias, Chain: []*x509.Certificate{c}}}, nil
		}
		return readPKCS12(name, alias, data, p.Store)
	}
	return readPEM(name, alias, data)
}

// readPEM takes every certificate of a file as one chain, and the key beside them.
func readPEM(name, alias string, data []byte) ([]Entry, error) {
	e := Entry{Alias: alias}
	begin := []byte("-----BEGIN ")
	line, rest := 1, data
	for {
		at := bytes.Index(rest, begin)
		if at < 0 {
			break
		}
		line += bytes.Count(rest[:at], []byte("\n"))
		rest = rest[at:]
		end := len(rest) // of this block at the latest: where the next begins
		if next := bytes.Index(rest[len(begin):], begin); next >= 0 {
			end = len(begin) + next
		}
		block, _ := pem.Decode(rest[:end])
		if block == nil {
			return nil, lineError(name, line, "a damaged PEM block", "the file was cut off or edited: copy it again")
		}
		if err := e.addBlock(block); err != nil {
			return nil, lineError(name, line, err.Error(), "openssl x509 or openssl pkey, with -in FILE -noout -text, show what openssl makes of it")
		}
		line += bytes.Count(rest[:end], []byte("\n"))
		rest = rest[end:]
	}
	if len(e.Chain) == 0 {
		return nil, fileError(name, "there is no certificate in the file", "a certificate in PEM or DER, PKCS#12, or a Java keystore")
	}
	return []Entry{e}, nil
}

func (e *Entry) addBlock(block *pem.Block) error {
	if block.Type == "CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE" {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("the certificate cannot be read: %w", err)
		}
		e.Chain = append(e.Chain, c)
		return nil
	}
	key, err := parseKey(block)
	switch {
	case err != nil:
		return err
	case key == nil: // parameters, requests, lists: not what is looked for
	case e.Key != nil:
		return errors.New("the file has two keys")
	default:
		e.Key = key
	}
	return nil
}

// keyOf returns the key of a block, or nil where it holds none. Its errors quote
// nothing of it.
func parseKey(block *pem.Block) (crypto.PrivateKey, error) {
	var key any
	var err error
	switch block.Type {
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
		return nil, errors.New("the key cannot be read")
	}
	return key, nil
}

// ReadKey reads the private key of a PEM file.
func ReadKey(name string) (crypto.PrivateKey, error) {
	data, err := ReadFile(name)
	if err != nil {
		return nil, err
	}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fileError(name, "there is no key in the file", "a private key in PEM: BEGIN PRIVATE KEY")
		}
		switch key, err := parseKey(block); {
		case err != nil:
			return nil, fileError(name, err.Error(), "openssl pkey -in FILE -noout -text shows what openssl makes of it")
		case key != nil:
			return key, nil
		}
	}
}

func fileError(name, what, hint string) error { return lineError(name, 0, what, hint) }

func lineError(name string, line int, what, hint string) error {
	return &configerror.Error{File: name, Line: line, What: what, Hint: hint}
}
