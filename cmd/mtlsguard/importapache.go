package main

import (
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/apacheconf"
)

type importApacheCmd struct {
	File string `arg:"" help:"The configuration. Files of Include, AuthUserFile and AuthGroupFile are read inside its folder."`
	Host string `placeholder:"NAME" help:"The VirtualHost to read, if there are several: its ServerName or its address."`
	importFlags
}

func (*importApacheCmd) Help() string {
	return `Reads the users of FakeBasicAuth, their groups, and the Location sections that require them. A user's name is the common name, unless --rename gives the subject one. The issuer is SSLCACertificateFile, unless --issuer names one.

Examples:
  mtlsguard import apache httpd.conf --out imported
  mtlsguard import apache httpd.conf --out imported --certs clients --issuer client-ca.pem` + importHelp
}

func (c *importApacheCmd) Run(a *app) error {
	return c.run(a, "apache", func(in *importer.Import) error {
		return apacheconf.Read(in, c.File, apacheconf.Options{Host: c.Host})
	})
}
