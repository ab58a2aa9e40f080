package main

import (
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// disableFlags names the mappings that users disable and users enable change.
type disableFlags struct {
	usersFlags
	User   string   `arg:"" optional:"" help:"The user, or the id of a mapping."`
	ID     []string `placeholder:"ID" help:"Change the mappings with these ids, in place of all mappings of the user."`
	DryRun bool     `help:"Print the mappings and change nothing."`
}

type usersDisableCmd struct{ disableFlags }

type usersEnableCmd struct{ disableFlags }

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

func (c *usersDisableCmd) Run(a *app) error { return c.set(a, true) }

func (c *usersEnableCmd) Run(a *app) error { return c.set(a, false) }

// set sets the key disabled of the mappings.
func (c *disableFlags) set(a *app, disabled bool) error {
	verb := map[bool]string{true: "disable", false: "enable"}[disabled]
	if (c.User == "") == (len(c.ID) == 0) {
		return usageError("name either a user or the ids of mappings", "mtlsguard users "+verb+" … USER, or --id ID")
	}
	f, unlock, err := c.openLocked()
	if err != nil {
		return err
	}
	defer unlock()
	before, err := f.read(nil)
	if err != nil {
		return err
	}
	ids, err := c.ids(f, before)
	if err != nil {
		return err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool {
		return slices.ContainsFunc(before, func(m certmap.Mapping) bool { return m.ID == id && m.Disabled == disabled })
	})
	next, err := f.setDisabled(disabled, ids)
	if err != nil {
		return err
	}
	out := usersChange{File: f.name, Written: !c.DryRun, verb: verb + "d"}
	if after, err := f.read(next); disabled && err == nil {
		out.Warnings = stillLetIn(after, difference(after, before))
	}
	return f.writeChange(a, next, before, out, func(added, removed []mappingReport) bool {
		return len(added) == len(ids) && len(removed) == len(ids) && !slices.ContainsFunc(added, func(m mappingReport) bool {
			return m.Disabled != disabled || !slices.ContainsFunc(removed, func(r mappingReport) bool {
				r.Line, r.Disabled = m.Line, disabled
				return fmt.Sprintf("%+v", r) == fmt.Sprintf("%+v", m)
			})
		})
	})
}

// stillLetIn returns the mappings that still give a disabled user, and the rules that refuse
// these users whatever the mapping.
func stillLetIn(after []certmap.Mapping, disabled []mappingReport) []string {
	out := stillMapped(after, disabled)
	if len(out) == 0 {
		return nil
	}
	named := map[string]bool{username.Variable: true} // no rule names the users of a pattern
	for _, m := range disabled {
		if !named[m.User] {
			named[m.User] = true
			out = append(out, "to refuse "+m.User+" by every mapping, write into the policy: "+denyUser(m.User))
		}
	}
	return out
}

// denyUser returns the rule that refuses a user everything.
func denyUser(user string) string { return "p, user:" + user + ", *, *, /*, deny" }

// ids returns the ids of the mappings to change.
func (c *disableFlags) ids(f *usersFile, all []certmap.Mapping) ([]string, error) {
	if len(c.ID) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(c.ID))), nil
	}
	var ofUser, byID []string
	patterns := ""
	for _, m := range all {
		switch {
		case m.User == c.User:
			ofUser = append(ofUser, m.ID)
		case m.ID == c.User:
			byID = append(byID, m.ID)
		case m.User == username.Variable:
			patterns = "; to refuse a user of a pattern, write into the policy: " + denyUser(c.User)
		}
	}
	switch {
	case len(ofUser) > 0:
		return ofUser, nil // the name of a user comes first
	case len(byID) > 0:
		return byID, nil
	}
	return nil, &configerror.Error{File: f.name, What: fmt.Sprintf("no mapping names the user %q, or has this id", c.User), Hint: "mtlsguard users list shows the mappings" + patterns}
}
