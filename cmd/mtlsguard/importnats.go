package main

import (
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/natsconf"
)

type importNATSCmd struct {
	File       string `arg:"" help:"The configuration of a server. Files of include are read inside its folder."`
	ShortNames bool   `help:"A user's name is the common name of its subject, the last segment of its URI, its address before @, or the first label of its host."`
	SameCase   bool   `help:"The authority issues no two names that differ in upper and lower case alone. Without it a host or an address is carried for the certificates of --certs only: here the case of a host does not count."`
	importFlags
}

func (*importNATSCmd) Help() string {
	return `Reads the users of a server with verify_and_map. The issuer is ca_file, unless --issuer names one.

Examples:
  mtlsguard import nats nats.conf --out imported --short-names
  mtlsguard import nats nats.conf --out imported --short-names --same-case --certs clients` + importHelp
}

func (c *importNATSCmd) Run(a *app) error {
	o := natsconf.Options{ShortNames: c.ShortNames, SameCase: c.SameCase}
	return c.run(a, "nats", func(in *importer.Import) error { return natsconf.Read(in, c.File, o) })
}
