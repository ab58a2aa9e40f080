package main

import (
	"crypto/x509"

	"github.com/mtlsguard/mtlsguard/internal/useredit"
)

type usersAddCmd struct {
	usersFlags
	useredit.Add
	DryRun bool `help:"Print the line and change nothing."`
	passwordFlags
}

func (*usersAddCmd) Help() string {
	return `Adds one line to the file of users, if the result loads. Comments, order and all other lines stay as they are. A server that watches its files reloads the file within seconds.

Examples:
  mtlsguard users add --config mtlsguard.yaml --cert stranger.pem --user stranger
  mtlsguard users add --config mtlsguard.yaml --fingerprint 6b03cb3214118d1fd0d1649c341ced9579475d1faabcfa296914dd36e6e9c952 --user stranger
  mtlsguard users add --config mtlsguard.yaml --cert orders.pem --user orders-batch --by subject --ports internal
  mtlsguard users add --users users.yaml --cert stranger.pem --user stranger --by spki --not-after 2030-01-01 --dry-run

Exit status: 0 the file is written, 2 it is not.`
}

func (c *usersAddCmd) Run(a *app) error {
	return c.change(a, c.DryRun, func(f *useredit.File) (*useredit.Change, error) {
		return c.Add.Change(a.ctx, f, a.now, func() ([]*x509.Certificate, error) { return c.readChain(a) })
	})
}

// readChain reads the user's certificate, and the issuers after it in the file.
func (c *usersAddCmd) readChain(a *app) ([]*x509.Certificate, error) {
	password, err := c.readPasswords(a)
	if err != nil {
		return nil, err
	}
	entry, err := readClientEntry(c.Cert, password)
	if err != nil {
		return nil, err
	}
	return entry.Chain, nil
}
