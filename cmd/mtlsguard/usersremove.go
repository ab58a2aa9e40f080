package main

import (
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
)

type usersRemoveCmd struct {
	usersFlags
	IDs    []string `arg:"" optional:"" name:"id" help:"The ids of the mappings."`
	User   string   `placeholder:"NAME" help:"Remove all mappings of this user."`
	DryRun bool     `help:"Print the mappings and change nothing."`
}

func (*usersRemoveCmd) Help() string {
	return `Removes lines from the file of users, if the result loads. Comments stay. A certificate that no other mapping matches is refused from the next request on. To refuse a certificate whatever mapping of a later kind matches it, use mtlsguard users disable.

Examples:
  mtlsguard users remove --config mtlsguard.yaml orders
  mtlsguard users remove --users users.yaml --user orders-api --dry-run

Exit status: 0 the file is written, 2 it is not.`
}

func (c *usersRemoveCmd) Run(a *app) error {
	if (len(c.IDs) == 0) == (c.User == "") {
		return usageError("name either the ids of mappings or a user", "mtlsguard users remove … ID, or --user NAME")
	}
	f, unlock, err := c.openLocked()
	if err != nil {
		return err
	}
	defer unlock()
	before, err := f.read(nil)
	if err != nil && c.User != "" {
		return err
	}
	broken := err != nil // removing a mapping by id may repair the file
	ids := c.IDs
	for _, m := range before {
		if c.User != "" && m.User == c.User {
			ids = append(ids, m.ID)
		}
	}
	if len(ids) == 0 {
		return &configerror.Error{File: f.name, What: fmt.Sprintf("--user: no mapping names %q", c.User), Hint: "mtlsguard users list shows the mappings; remove a pattern with {user} by its id"}
	}
	next, err := f.remove(ids)
	if err != nil {
		return err
	}
	out := usersChange{File: f.name, Written: !c.DryRun}
	if after, err := f.read(next); err == nil {
		out.Warnings = stillMapped(after, difference(after, before))
	}
	return f.writeChange(a, next, before, out, func(added, removed []mappingReport) bool {
		return broken || len(added) == 0 && len(removed) == len(slices.Compact(slices.Sorted(slices.Values(ids))))
	})
}
