package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

type keysCmd struct {
	Import keysImportCmd `cmd:"" help:"Convert keystores and certificates to PEM files or mappings."`
}

type keysImportCmd struct {
	Files    []string `arg:"" name:"file" help:"Files in PKCS#12, JKS, PEM or DER."`
	Out      string   `required:"" xor:"how" placeholder:"FOLDER" help:"Write each entry as NAME.pem, and its key as NAME-key.pem. Nothing is overwritten."`
	Mappings bool     `required:"" xor:"how" help:"Print a users.yaml with a mapping for each certificate."`
	By       string   `default:"fingerprint" enum:"fingerprint,spki,serial,uri,dns,email,subject" help:"The kind of the mappings: ${enum}."`
	Issuer   string   `placeholder:"FILE" help:"The issuer of the mappings, for every kind but fingerprint and spki."`
	UserFrom string   `default:"cn" enum:"cn,alias" help:"The source of the user's name: the certificate's common name, or the entry's alias (the file's name, if it is not a Java keystore)."`
	passwordFlags
}

func (*keysImportCmd) Help() string {
	return `Writes each entry of a Java keystore, or the key and chain of a PKCS#12 file, as PEM; or prints a mapping for each certificate. Keys are written unencrypted, readable by their owner only.

Examples:
  mtlsguard keys import partner.jks --password-file password.txt --out imported
  mtlsguard keys import alice.p12 --password-file password.txt --out imported
  mtlsguard keys import alice.pem bob.pem --mappings

Exit status: 0 the files are written or the mappings printed, 2 nothing was imported.`
}

// importedEntry is an element of the JSON of keys import --out.
type importedEntry struct {
	Alias       string             `json:"alias"`
	Certificate *certificateReport `json:"certificate"`
	File        string             `json:"file"`
	Key         string             `json:"key,omitempty"`
	LeftOut     []leftOut          `json:"left_out,omitempty"`
}

// leftOut is a certificate of a keystore that a later one of the same holder replaces.
type leftOut struct {
	Subject  string `json:"subject"`
	Serial   string `json:"serial"`
	NotAfter string `json:"not_after"`
}

func (c *keysImportCmd) Run(a *app) error {
	password, err := c.readPasswords(a)
	if err != nil {
		return err
	}
	var errs errorlist.List
	var entries []certfile.Entry
	for _, name := range c.Files {
		found, err := certfile.Read(name, password)
		errs.Merge(err, configerror.Error{File: name})
		entries = append(entries, found...)
	}
	if err := errs.Err(); err != nil {
		return err
	}
	for _, e := range entries {
		if e.Locked != nil && !c.Mappings {
			errs.Merge(lockedKeyError("", e), configerror.Error{})
		}
	}
	if err := errs.Err(); err != nil {
		return err
	}
	if c.Mappings {
		return c.printMappings(a, entries)
	}
	return c.write(a, entries)
}

// write writes the files. If one of the names is taken, it writes none.
func (c *keysImportCmd) write(a *app, entries []certfile.Entry) error {
	if err := makeFolder(c.Out); err != nil {
		return err
	}
	out := []importedEntry{}
	taken := map[string]bool{}
	var names []string
	for _, e := range entries {
		base := escape.FileName(e.Alias)
		for n := 2; taken[base]; n++ {
			base = fmt.Sprintf("%s-%d", escape.FileName(e.Alias), n)
		}
		taken[base] = true
		im := importedEntry{Alias: e.Alias, Certificate: newCertificateReport(e.Chain[0]), File: filepath.Join(c.Out, base+".pem")}
		if e.Key != nil {
			im.Key = filepath.Join(c.Out, base+"-key.pem")
		}
		for _, old := range e.Replaced {
			r := newCertificateReport(old)
			im.LeftOut = append(im.LeftOut, leftOut{r.Subject, r.Serial, r.NotAfter})
		}
		if names = append(names, im.File); im.Key != "" {
			names = append(names, im.Key)
		}
		out = append(out, im)
	}
	if err := checkUnused(names); err != nil {
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
			return usageError("the key of entry "+strconv.Quote(e.Alias)+" cannot be written as PKCS#8", "supported keys are RSA, ECDSA and Ed25519")
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
			rows = append(rows, []string{im.Key, "its key, unencrypted"})
		}
		for _, old := range im.LeftOut {
			rows = append(rows, []string{"left out", old.Subject, "until " + old.NotAfter + ", serial " + old.Serial})
		}
	}
	a.printTable("", rows)
	return nil
}

// writeNewFile writes a file that must not exist.
func writeNewFile(name string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err == nil {
		_, err = f.Write(data)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return &configerror.Error{File: name, What: "the file cannot be written: " + err.Error(), Hint: "name a folder in which you may write"}
	}
	return nil
}
