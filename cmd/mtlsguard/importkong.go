package main

import (
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/kongyaml"
)

type importKongCmd struct {
	Files         []string `arg:"" name:"file" help:"All files of one declarative configuration, in YAML or JSON."`
	Host          string   `placeholder:"NAME" help:"The server gets requests to this host alone: routes of other hosts are left out, and for its own their hosts are no condition. Without it no route with hosts is carried."`
	WholeSegments bool     `help:"No path of your services continues the path of a route within a segment, such as /ordersX for /orders. Without it, a route below the path of another must end in a slash if it refuses others."`
	SameCase      bool     `help:"The authorities issue no two names that differ in upper and lower case alone. Without it a host or an address is carried for the certificates of --certs only: here the case of a host does not count."`
	importFlags
}

func (*importKongCmd) Help() string {
	return `Reads consumers with their mtls_auth_credentials and acls, and routes with the plugins mtls-auth and acl. The issuers are those of ca_certificates.

Examples:
  mtlsguard import kong kong.yaml --out imported --same-case
  mtlsguard import kong kong.yaml --out imported --host api.acme.example --certs clients --same-case` + importHelp
}

func (c *importKongCmd) Run(a *app) error {
	o := kongyaml.Options{Host: c.Host, SameCase: c.SameCase, WholeSegments: c.WholeSegments}
	return c.run(a, "kong", func(in *importer.Import) error { return kongyaml.Read(in, c.Files, o) })
}
