package main

import (
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

type usersRemoveCmd struct {
	usersFlags
	IDs    []string `arg:"" optional:"" name:"id" help:"Ids of mappings."`
	User   string   `placeholder:"NAME" help:"All of this user."`
	DryRun bool     `help:"Print what would go and change nothing."`
}

func (*usersRemoveCmd) Help() string {
	return `Takes lines out of the file of users, where a server would load the result. Comments stay. Whoever was mapped is refused from the next request on, if no other mapping names them. To keep a certificate nobody's whatever other mappings say, write disabled: true into its own.

Examples:
  mtlsguard users remove --config mtlsguard.yaml orders
  mtlsguard users remove --users users.yaml --user orders-api --dry-run

Exit status: 0 it is written, 2 it is not.`
}

func (c *usersRemoveCmd) Run(a *app) error {
	if (len(c.IDs) == 0) == (c.User == "") {
		return usageError("what is to be removed?", "ids of mappings, or --user NAME")
	}
	f, unlock, err := c.openLocked()
	if err != nil {
		return err
	}
	defer unlock()
	before, err := f.read(f.data)
	if err != nil && c.User != "" {
		return err
	}
	broken := err != nil // removing by id may be what mends it
	ids := c.IDs
	for _, m := range before {
		if c.User != "" && m.User == c.User {
			ids = append(ids, m.ID)
		}
	}
	if len(ids) == 0 {
		return &configerror.Error{File: f.name, What: "no mapping names user " + c.User, Hint: "mtlsguard users list shows them; a pattern with {user} is removed by its id"}
	}
	next, err := usersfile.Remove(f.name, f.data, ids...)
	if err != nil {
		return err
	}
	return f.writeChange(a, next, before, usersChange{File: f.name, Written: !c.DryRun}, func(added, removed []mappingReport) bool {
		return broken || len(added) == 0 && len(removed) == len(slices.Compact(slices.Sorted(slices.Values(ids))))
	})
}
