package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
)

// passwordFlags names the sources of a keystore's password. The command line is not one
// of them: every user of the machine can read it.
type passwordFlags struct {
	PasswordFile    string `placeholder:"FILE" help:"Read the keystore's password from the first line of FILE, or of standard input if FILE is -. Default: the environment variable MTLSGUARD_PASSWORD."`
	KeyPasswordFile string `placeholder:"FILE" help:"The same for a key in a Java keystore that has its own password."`
}

func (p *passwordFlags) readPasswords(a *app) (out certfile.Passwords, err error) {
	out.Store = os.Getenv("MTLSGUARD_PASSWORD")
	if p.PasswordFile != "" {
		if out.Store, err = firstLine(a, p.PasswordFile); err != nil {
			return out, err
		}
	}
	if p.KeyPasswordFile != "" {
		out.Key, err = firstLine(a, p.KeyPasswordFile)
	}
	return out, err
}

func firstLine(a *app, name string) (string, error) {
	if name == "-" {
		line, err := bufio.NewReader(io.LimitReader(a.stdin, 4096)).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", usageError("the password cannot be read from standard input: "+err.Error(), "echo PASSWORD | mtlsguard … --password-file -")
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	data, err := certfile.ReadFile(name)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimRight(line, "\r"), nil
}

// clientFlags names the certificate that a command presents to a server.
type clientFlags struct {
	Cert string `placeholder:"FILE" help:"The client's certificate: PEM with its intermediates, PKCS#12 or JKS."`
	Key  string `placeholder:"FILE" help:"The certificate's key in PEM, if the certificate's file has no key."`
	passwordFlags
}

// readPair reads the certificate and its key. It returns nil if there is no --cert.
func (c *clientFlags) readPair(a *app) (*tls.Certificate, error) {
	if c.Cert == "" {
		if c.Key != "" {
			return nil, usageError("--key needs --cert", "--cert FILE with the certificate of the key")
		}
		return nil, nil
	}
	password, err := c.readPasswords(a)
	if err != nil {
		return nil, err
	}
	entry, err := readClientEntry(c.Cert, password)
	if err != nil {
		return nil, err
	}
	if c.Key != "" {
		key, err := certfile.ReadKey(c.Key)
		if err != nil {
			return nil, err
		}
		entry.SetKey(key)
	}
	switch {
	case entry.Key == nil && entry.Locked != nil:
		return nil, lockedKeyError(c.Cert, entry)
	case entry.Key == nil:
		return nil, &configerror.Error{File: c.Cert, What: "the file has no key", Hint: "--key FILE with the key in PEM"}
	case !certfile.KeyMatches(entry.Key, entry.Chain[0]):
		return nil, &configerror.Error{File: c.Cert, What: "the key does not belong to the first certificate", Hint: "put the leaf first in the file, and its issuers after it"}
	}
	out := &tls.Certificate{PrivateKey: entry.Key, Leaf: entry.Chain[0]}
	for _, c := range entry.Chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out, nil
}

func lockedKeyError(name string, e certfile.Entry) error {
	return &configerror.Error{File: name, What: e.Locked.Error(), Hint: "--key-password-file FILE"}
}

// readClientEntry reads the client's entry of a file: the only one, or the only one with
// a key.
func readClientEntry(name string, p certfile.Passwords) (certfile.Entry, error) {
	entries, err := certfile.Read(name, p)
	if err != nil {
		return certfile.Entry{}, err
	}
	if len(entries) == 1 {
		return entries[0], nil
	}
	var out []certfile.Entry
	for _, e := range entries {
		if e.Key != nil || e.Locked != nil {
			out = append(out, e)
		}
	}
	if len(out) != 1 {
		return certfile.Entry{}, &configerror.Error{File: name, What: "the keystore has several entries", Hint: "mtlsguard keys import --out FOLDER " + shellQuote(name) + " writes each into its own file"}
	}
	return out[0], nil
}

// readRoots reads the trust anchors for a server's certificate. It returns nil, the
// system's anchors, if no file is named.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	entries, err := certfile.Read(file, certfile.Passwords{})
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, e := range entries {
		for _, c := range e.Chain {
			pool.AddCert(c)
		}
	}
	return pool, nil
}
