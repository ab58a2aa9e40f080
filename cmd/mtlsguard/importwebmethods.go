package main

import (
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/webmethods"
)

type importWebMethodsCmd struct {
	Folder        string   `arg:"" help:"The config folder of an instance, or the instance's folder with config and packages: then the ports of packages are read too."`
	Listeners     []string `sep:"none" placeholder:"FILE" help:"Another listeners.cnf, such as that of a package. Repeatable."`
	NS            []string `name:"ns" sep:"none" placeholder:"FOLDER" help:"The services: the packages folder, a package, or its folder ns. Without it only services that the files name are known. Repeatable."`
	REST          string   `name:"rest" placeholder:"FILE" help:"A table service,path,methods: paths of services in place of /invoke/FOLDER/SERVICE."`
	CertMap       string   `name:"certmap" placeholder:"FILE" help:"The table IS_CERTIFICATE_MAP as CSV, with the columns CERT_USER, CERT_BYTES (hex, base64 or PEM) and CERT_USAGE."`
	Usage         string   `placeholder:"NUMBER" help:"The CERT_USAGE of SSL authentication. Lines with another one are no mappings."`
	ExternalUsers bool     `help:"Carry the mappings of users that users.cnf does not have: of LDAP or a central directory."`
	BuiltIn       bool     `help:"Read the server's own services too, such as wm.server.access:userList."`
	importFlags
}

func (*importWebMethodsCmd) Help() string {
	return `Reads acls.cnf, aclmap_sm.cnf, users.cnf and listeners.cnf of an Integration Server. An ACL becomes rules for each service and port; a service is the path /invoke/FOLDER/SERVICE.

Examples:
  mtlsguard import webmethods instance --out imported --rename "eve smith=eve"
  mtlsguard import webmethods instance --out imported --rename "eve smith=eve" --certmap instance/certmap.csv --usage 1` + importHelp
}

func (c *importWebMethodsCmd) Run(a *app) error {
	o := webmethods.Options{Listeners: c.Listeners, Namespaces: c.NS, REST: c.REST, CertMap: c.CertMap, Usage: c.Usage, ExternalUsers: c.ExternalUsers, BuiltIn: c.BuiltIn}
	return c.run(a, "webmethods", func(in *importer.Import) error { return webmethods.Read(in, c.Folder, o) })
}
