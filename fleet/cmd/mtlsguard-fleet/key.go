package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/source"
)

// readSigningKey reads an Ed25519 private key.
func readSigningKey(name string) (ed25519.PrivateKey, error) {
	key, err := certfile.ReadKey(name)
	if err != nil {
		return nil, err
	}
	out, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, &configerror.Error{File: name, What: "the key is not an Ed25519 key", Hint: "make one: mtlsguard-fleet keygen FILE"}
	}
	return out, nil
}

type keygenCmd struct {
	File string `arg:"" help:"The new file for the private key. The public key is written beside it, as FILE.pub."`
}

func (*keygenCmd) Help() string {
	return `Makes an Ed25519 key that signs generations. The private key is in PEM, and only you can read the file. The public key goes to the nodes: signers in the block source of mtlsguard.yaml. The same with openssl:
  openssl genpkey -algorithm ed25519 -out signer.pem
  openssl pkey -in signer.pem -pubout -out signer.pem.pub

Example:
  mtlsguard-fleet keygen signer.pem

Exit status: 0 both files are written, 2 they are not.`
}

// keyReport is the JSON of keygen.
type keyReport struct {
	Private string `json:"private"`
	Public  string `json:"public"`
	Key     string `json:"key"` // SHA-256 of the public key, as in signatures
}

func (c *keygenCmd) Run(a *app) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	publicDER, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	out := keyReport{Private: c.File, Public: c.File + ".pub", Key: source.DigestOf(publicDER).String()}
	if _, err := os.Lstat(out.Public); err == nil {
		return &configerror.Error{File: out.Public, What: "the file exists", Hint: "nothing was written: name a new file"}
	}
	if err := writeNew(out.Private, "PRIVATE KEY", privateDER, 0o600); err != nil {
		return err
	}
	if err := writeNew(out.Public, "PUBLIC KEY", publicDER, 0o644); err != nil {
		_ = os.Remove(out.Private)
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	a.printf("private key %s, for --sign\npublic key  %s, for signers in the block source of mtlsguard.yaml\n", escape.Printable(out.Private, 0), escape.Printable(out.Public, 0))
	return nil
}

// writeNew writes a file that must not exist yet.
func writeNew(name, label string, der []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return &configerror.Error{File: name, What: "the file exists", Hint: "nothing was written: name a new file"}
	}
	if err == nil {
		_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return &configerror.Error{File: name, What: "the file cannot be written: " + err.Error(), Hint: "name a file in a folder that you may write in"}
	}
	return nil
}
