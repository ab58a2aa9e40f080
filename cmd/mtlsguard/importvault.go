package main

import (
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/vaultrole"
)

type importVaultCmd struct {
	Files    []string `arg:"" name:"file" help:"Roles in JSON, as vault read -format=json auth/cert/certs/NAME writes them, or lists of them. The name of a role is that of its file, and in a list its display_name."`
	Groups   bool     `help:"Put the user of a role into a group for each of its token_policies."`
	SameCase bool     `help:"The authorities issue no two names that differ in upper and lower case alone. Without it a host or an address is carried for the certificates of --certs only: here the case of a host does not count."`
	importFlags
}

func (*importVaultCmd) Help() string {
	return `Reads roles of the auth method cert of Vault and OpenBao. Each role is a user. The issuers are the certificates of the roles.

Examples:
  mtlsguard import vault robot.json --out imported
  mtlsguard import vault robot.json --out imported --groups --certs clients` + importHelp
}

func (c *importVaultCmd) Run(a *app) error {
	o := vaultrole.Options{Groups: c.Groups, SameCase: c.SameCase}
	return c.run(a, "vault", func(in *importer.Import) error { return vaultrole.Read(in, c.Files, o) })
}
