package main

import (
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/csvfile"
)

type importCSVCmd struct {
	Files []string `arg:"" name:"file" help:"Tables whose first line names the columns."`
	importFlags
}

func (*importCSVCmd) Help() string {
	return `Columns, in any order: user, and one of certificate (a file, or PEM or base64), fingerprint, spki, serial, uri, dns, email, subject. Also id, issuer, ports, not_before or from, not_after or until, disabled.

Examples:
  mtlsguard import csv partners.csv --out imported --issuer client-ca.pem
  mtlsguard import csv partners.csv --out imported --issuer client-ca.pem --certs clients` + importHelp
}

func (c *importCSVCmd) Run(a *app) error {
	return c.run(a, "csv", func(in *importer.Import) error { return csvfile.Read(in, c.Files) })
}
