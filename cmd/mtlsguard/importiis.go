package main

import (
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/iisconf"
)

type importIISCmd struct {
	File        string `arg:"" help:"applicationHost.config, or a web.config."`
	Location    string `placeholder:"PATH" help:"The path of the location element whose mappings are read, if there are several."`
	StripDomain bool   `help:"The user of CONTOSO\\alice and of alice@contoso.example is alice."`
	importFlags
}

func (*importIISCmd) Help() string {
	return `Reads the one-to-one client certificate mappings. They hold whole certificates, so --certs and --issuer are not needed.

Examples:
  mtlsguard import iis web.config --out imported --strip-domain` + importHelp
}

func (c *importIISCmd) Run(a *app) error {
	o := iisconf.Options{Location: c.Location, StripDomain: c.StripDomain}
	return c.run(a, "iis", func(in *importer.Import) error { return iisconf.Read(in, c.File, o) })
}
