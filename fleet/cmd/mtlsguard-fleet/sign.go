package main

import (
	"crypto/ed25519"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/source"
)

type signCmd struct {
	Pending string `arg:"" help:"The file that push --out has written."`
	Key     string `required:"" placeholder:"KEY" env:"MTLSGUARD_SIGN" help:"A file with the Ed25519 private key, in PEM."`
}

func (*signCmd) Help() string {
	return `Signs a generation that another person has made, and writes the signature into its file. It needs no store. The file is a zip archive: the signature covers MANIFEST, which has the digests of the files below files/.

Example:
  mtlsguard-fleet sign pending.zip --key signer.pem

Exit status: 0 the file has the signature, 2 it has not.`
}

// signReport is the JSON of sign.
type signReport struct {
	Manifest   source.Manifest `json:"manifest"`
	Digest     string          `json:"digest"`
	Key        string          `json:"key"`        // that has signed
	Signatures int             `json:"signatures"` // in the file
}

func (c *signCmd) Run(a *app) error {
	key, err := readSigningKey(c.Key)
	if err != nil {
		return err
	}
	g, end, err := openPending(c.Pending)
	if err != nil {
		return err
	}
	defer end()
	if g, err = g.Fetch(a.ctx); err != nil { // the archive must hold the files that the manifest names
		return pendingError(c.Pending, err)
	}
	if g, err = signOnce(g, key); err != nil {
		return err
	}
	if err := writePending(c.Pending, g); err != nil {
		return err
	}
	out := signReport{Manifest: g.Manifest, Digest: g.Digest().String(), Key: keyID(key), Signatures: len(g.Signatures)}
	if a.json {
		return a.printJSON(out)
	}
	a.printf("signed: %s\n", oneLine(g.Manifest))
	for _, f := range g.Manifest.Files {
		a.printf("  %s  %s\n", f.SHA256, escape.Printable(f.Name, 0))
	}
	a.printf("next: mtlsguard-fleet push %s\n", escape.Printable(escape.Shell(c.Pending), 0))
	return nil
}

// keyID returns the key of a signature, as manifests and show have it.
func keyID(key ed25519.PrivateKey) string {
	s, err := source.Sign(nil, key)
	if err != nil {
		return ""
	}
	return s.Key.String()
}
