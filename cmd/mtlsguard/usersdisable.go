package main

import "github.com/mtlsguard/mtlsguard/internal/useredit"

type usersDisableCmd struct {
	usersFlags
	useredit.Disable
	DryRun bool `help:"Print the mappings and change nothing."`
}

type usersEnableCmd struct {
	usersFlags
	useredit.Disable
	DryRun bool `help:"Print the mappings and change nothing."`
}

func (*usersDisableCmd) Help() string {
	return `Sets disabled: true in the mappings of a user. A certificate that a disabled mapping matches is refused from the next request on, unless a kind before it matches too. All other lines stay as they are.

Examples:
  mtlsguard users disable --config mtlsguard.yaml orders-api
  mtlsguard users disable --users users.yaml --id carol --dry-run

Exit status: 0 the mappings are disabled, 2 nothing was written.`
}

func (*usersEnableCmd) Help() string {
	return `Sets disabled: false in the mappings of a user. All other lines stay as they are.

Examples:
  mtlsguard users enable --config mtlsguard.yaml orders-api
  mtlsguard users enable --users users.yaml --id carol --dry-run

Exit status: 0 the mappings are enabled, 2 nothing was written.`
}

func (c *usersDisableCmd) Run(a *app) error {
	if err := c.Check("mtlsguard users disable"); err != nil {
		return err
	}
	return c.change(a, c.DryRun, func(f *useredit.File) (*useredit.Change, error) { return c.Change(f, true) })
}

func (c *usersEnableCmd) Run(a *app) error {
	if err := c.Check("mtlsguard users enable"); err != nil {
		return err
	}
	return c.change(a, c.DryRun, func(f *useredit.File) (*useredit.Change, error) { return c.Change(f, false) })
}
