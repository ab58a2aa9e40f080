package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/trust"
)

type keysCmd struct {
	Import keysImportCmd `cmd:"" help:"Make PEM files, or mappings, of keystores and certificates."`
}

type keysImportCmd struct {
	Files    []string `arg:"" name:"file" help:"PKCS#12, JKS, PEM or DER."`
	Out      string   `required:"" xor:"how" placeholder:"FOLDER" help:"Write each entry as NAME.pem, and its key as NAME-key.pem. Nothing is overwritten."`
	Mappings bool     `required:"" xor:"how" help:"Print a users.yaml with a mapping for each certificate."`
	By       string   `default:"fingerprint" enum:"fingerprint,spki,serial,uri,dns,email,subject" help:"What of the certificates the mappings name: ${enum}."`
	Issuer   string   `placeholder:"FILE" help:"The issuer in the mappings, from serial on."`
	UserFrom string   `default:"cn" enum:"cn,alias" help:"The user of a mapping: the certificate's common name, or the entry's alias (of a file, its name)."`
	passwordFlags
}

func (*keysImportCmd) Help() string {
	return `A Java keystore has an entry for each alias, PKCS#12 one key with its chain, or certificates alone. Keys are written unencrypted, for their owner alone to read.

Examples:
  mtlsguard keys import partner.jks --password-file password.txt --out imported
  mtlsguard keys import alice.p12 --password-file password.txt --out imported
  mtlsguard keys import alice.pem bob.pem --mappings

Exit status: 0 it is done, 2 it is not.`
}

// imported is one of what keys import --out --json prints, a list.
type importedEntry struct {
	Alias       string             `json:"alias"`
	Certificate *certificateReport `json:"certificate"`
	File        string             `json:"file"`
	Key         string             `json:"key,omitempty"`
}

func (c *keysImportCmd) Run(a *app) error {
	password, err := c.readPasswords(a)
	if err != nil {
		return err
	}
	var wrong errorlist.List
	var entries []certfile.Entry
	for _, name := range c.Files {
		found, err := certfile.Read(name, password)
		wrong.Merge(err, configerror.Error{File: name})
		entries = append(entries, found...)
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	for _, e := range entries {
		if e.Locked != nil && !c.Mappings {
			wrong.Merge(lockedKeyError("", e), configerror.Error{})
		}
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	if c.Mappings {
		return c.printMappings(a, entries)
	}
	return c.write(a, entries)
}

// write makes the files, or none: a name that is taken is found before the first is
// written.
func (c *keysImportCmd) write(a *app, entries []certfile.Entry) error {
	if err := os.MkdirAll(c.Out, 0o700); err != nil {
		return usageError("the folder "+c.Out+" cannot be made", "--out FOLDER that you may write")
	}
	out := []importedEntry{}
	taken := map[string]bool{}
	var wrong errorlist.List
	for _, e := range entries {
		base := safeFileName(e.Alias)
		for n := 2; taken[base]; n++ {
			base = fmt.Sprintf("%s-%d", safeFileName(e.Alias), n)
		}
		taken[base] = true
		im := importedEntry{Alias: e.Alias, Certificate: newCertificateReport(e.Chain[0]), File: filepath.Join(c.Out, base+".pem")}
		if e.Key != nil {
			im.Key = filepath.Join(c.Out, base+"-key.pem")
		}
		for _, name := range []string{im.File, im.Key} {
			if _, err := os.Lstat(name); name != "" && !errors.Is(err, fs.ErrNotExist) {
				wrong.Add(configerror.Error{File: name, What: "the file is there already", Hint: "--out another folder, or move it away"})
			}
		}
		out = append(out, im)
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	for i, e := range entries {
		var chain []byte
		for _, cert := range e.Chain {
			chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
		}
		if err := writeNewFile(out[i].File, chain, 0o644); err != nil {
			return err
		}
		if e.Key == nil {
			continue
		}
		der, err := x509.MarshalPKCS8PrivateKey(e.Key)
		if err != nil {
			return usageError("the key of "+e.Alias+" cannot be written", "RSA, ECDSA or Ed25519")
		}
		if err := writeNewFile(out[i].Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(out)
	}
	var rows [][]string
	for _, im := range out {
		rows = append(rows, []string{im.File, im.Certificate.Subject, "until " + im.Certificate.NotAfter})
		if im.Key != "" {
			rows = append(rows, []string{im.Key, "its key, not encrypted"})
		}
	}
	a.printTable("", rows)
	return nil
}

func writeNewFile(name string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err == nil {
		_, err = f.Write(data)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return &configerror.Error{File: name, What: "the file was not written: " + err.Error(), Hint: "--out FOLDER that you may write"}
	}
	return nil
}

// fileName makes a name of an alias that means nothing to a file system.
func safeFileName(alias string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-', r == '@':
			return r
		}
		return '_'
	}, alias)
	if out = strings.TrimLeft(out, ".-"); out == "" {
		return "entry"
	}
	return out[:min(len(out), 100)]
}

// proposed is one of what keys import --mappings --json prints, a list.
type proposedMapping struct {
	Alias string `json:"alias"`
	User  string `json:"user,omitempty"`
	Line  string `json:"line,omitempty"` // as it stands in users.yaml
	Why   string `json:"why,omitempty"`  // there is none
}

// mappings prints mappings that load as they are. What cannot be mapped is a comment.
func (c *keysImportCmd) printMappings(a *app, entries []certfile.Entry) error {
	if needsIssuer(c.By) && c.Issuer == "" {
		return usageError("mappings by "+c.By+" need an issuer: without it, any authority could make these users", "--issuer FILE")
	}
	out := []proposedMapping{}
	var known []certmap.Mapping
	seen := map[trust.Digest]bool{}
	for _, e := range entries {
		for i, leaf := range e.Chain {
			if (e.Key != nil || e.Locked != nil) && i > 0 || seen[trust.FingerprintOf(leaf)] {
				continue // the rest of a chain is nobody's
			}
			seen[trust.FingerprintOf(leaf)] = true
			p := c.proposeMapping(e.Alias, leaf, known)
			if p.Why == "" {
				known = append(known, certmap.Mapping{ID: unusedID(p.User, known)})
			}
			out = append(out, p)
		}
	}
	if a.json {
		return a.printJSON(out)
	}
	head := "mappings: []"
	if len(known) > 0 {
		head = "mappings:"
	}
	a.printf("%s\n", head)
	for _, p := range out {
		if p.Why != "" {
			a.printf("  # %s: %s\n", escape.Printable(p.Alias, 0), escape.Printable(p.Why, 0))
		} else {
			a.printf("  %s\n", escape.Printable(p.Line, 0))
		}
	}
	return nil
}

func (c *keysImportCmd) proposeMapping(alias string, leaf *x509.Certificate, known []certmap.Mapping) proposedMapping {
	p := proposedMapping{Alias: alias}
	if leaf.IsCA {
		p.Why = "an authority is no user: " + formatSubject(leaf)
		return p
	}
	if p.User = userFromCommonName(leaf); c.UserFrom == "alias" {
		p.User = alias
	}
	all, why := kindValues(leaf, c.By)
	switch {
	case !username.IsUser(p.User):
		p.User, p.Why = "", "no user name in it: "+formatSubject(leaf)
	case why != "":
		p.Why = why
	case len(all) != 1:
		p.Why = plural(len(all), c.By, c.By+" values")
	default:
		if p.Why = checkMappable(c.By, all[0]); p.Why != "" {
			break
		}
		issuer := ""
		if needsIssuer(c.By) {
			issuer = c.Issuer
		}
		p.Line = usersfile.Format("users.yaml", mappingFields(unusedID(p.User, known), p.User, c.By, all[0], issuer))
	}
	return p
}
