package main

import (
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/nginxconf"
)

type importNginxCmd struct {
	File     string   `arg:"" help:"The configuration, or a file with its maps alone. Files of include are read inside its folder."`
	Map      []string `sep:"none" placeholder:"NAME=ROLE" help:"The meaning of the values of the map to $NAME: NAME=user, NAME=allow:VALUE or NAME=deny:VALUE. Default: user, if there is one map of a client certificate. Repeatable."`
	User     string   `placeholder:"NAME" help:"The user of the certificates that NAME=allow:VALUE lets in."`
	Each     bool     `help:"Write a pattern that is not anchored certificate by certificate, for those of --certs."`
	SameCase bool     `help:"The authority issues no two names that differ in upper and lower case alone. Without it, an exact key without a user keeps out the patterns that match its name: nginx ignores the case of an exact key."`
	importFlags
}

func (*importNginxCmd) Help() string {
	return `Reads maps from $ssl_client_s_dn, $ssl_client_s_dn_legacy, $ssl_client_fingerprint and $ssl_client_serial. The issuer is ssl_client_certificate, unless --issuer names one.

Examples:
  mtlsguard import nginx nginx.conf --out imported
  mtlsguard import nginx nginx.conf --out imported --issuer client-ca.pem --map who=user --certs clients --each` + importHelp
}

func (c *importNginxCmd) Run(a *app) error {
	o := nginxconf.Options{Maps: c.Map, User: c.User, Each: c.Each, SameCase: c.SameCase}
	return c.run(a, "nginx", func(in *importer.Import) error { return nginxconf.Read(in, c.File, o) })
}
