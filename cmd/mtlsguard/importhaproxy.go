package main

import (
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/haproxymap"
)

type importHAProxyCmd struct {
	Files []string `arg:"" name:"file" help:"Map files, or with --user acl files."`
	Key   string   `required:"" placeholder:"SAMPLE" help:"The sample expression that is looked up: ssl_c_s_dn, ssl_c_s_dn(,0,rfc2253), ssl_c_s_dn(cn), ssl_c_sha1,hex, ssl_c_der,sha2(256),hex or ssl_c_serial,hex."`
	User  string   `placeholder:"NAME" help:"The files are acl files of certificates that are let in: all of them are this user."`
	importFlags
}

func (*importHAProxyCmd) Help() string {
	return `A map file has a key and a user on each line. The files do not show what the key is: the configuration does, and --key repeats it.

Examples:
  mtlsguard import haproxy users.map --key ssl_c_s_dn --out imported --issuer client-ca.pem
  mtlsguard import haproxy names.map --key "ssl_c_s_dn(cn)" --out imported --issuer client-ca.pem --certs clients` + importHelp
}

func (c *importHAProxyCmd) Run(a *app) error {
	o := haproxymap.Options{Key: c.Key, User: c.User}
	return c.run(a, "haproxy", func(in *importer.Import) error { return haproxymap.Read(in, c.Files, o) })
}
