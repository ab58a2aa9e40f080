package main

import (
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/pgident"
)

type importPGIdentCmd struct {
	File       string `arg:"" help:"pg_ident.conf. Files of include are read inside its folder."`
	Map        string `placeholder:"NAME" help:"The map to read, if the file has several: map of the line in pg_hba.conf."`
	ClientName string `name:"clientname" placeholder:"PART" default:"CN" help:"What of a certificate the map looks up: clientname of the line in pg_hba.conf, CN or DN. Default: CN, as in PostgreSQL."`
	Each       bool   `help:"Write a regular expression that is not carried certificate by certificate, for those of --certs."`
	importFlags
}

func (*importPGIdentCmd) Help() string {
	return `Reads a user name map of PostgreSQL for the authentication method cert. A common name needs --certs.

Examples:
  mtlsguard import pgident pg_ident.conf --clientname DN --map partners --out imported --issuer client-ca.pem
  mtlsguard import pgident pg_ident.conf --map names --out imported --issuer client-ca.pem --certs clients` + importHelp
}

func (c *importPGIdentCmd) Run(a *app) error {
	o := pgident.Options{Map: c.Map, ClientName: c.ClientName, Each: c.Each}
	return c.run(a, "pgident", func(in *importer.Import) error { return pgident.Read(in, c.File, o) })
}
