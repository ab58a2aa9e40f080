package main

import "github.com/mtlsguard/mtlsguard/internal/useredit"

type usersRemoveCmd struct {
	usersFlags
	useredit.Remove
	DryRun bool `help:"Print the mappings and change nothing."`
}

func (*usersRemoveCmd) Help() string {
	return `Removes lines from the file of users, if the result loads. Comments stay. A certificate that no other mapping matches is refused from the next request on. To refuse a certificate whatever mapping of a later kind matches it, use mtlsguard users disable.

Examples:
  mtlsguard users remove --config mtlsguard.yaml orders
  mtlsguard users remove --users users.yaml --user orders-api --dry-run

Exit status: 0 the file is written, 2 it is not.`
}

func (c *usersRemoveCmd) Run(a *app) error {
	if err := c.Check("mtlsguard users remove"); err != nil {
		return err
	}
	return c.change(a, c.DryRun, c.Change)
}
