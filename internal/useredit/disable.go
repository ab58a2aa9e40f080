package useredit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Disable are the flags of users disable and users enable, with the tags of kong.
type Disable struct {
	User string   `arg:"" optional:"" help:"The user, or the id of a mapping."`
	ID   []string `placeholder:"ID" help:"Change the mappings with these ids, in place of all mappings of the user."`
}

// Check returns an error about the command line.
func (c *Disable) Check(command string) error {
	if (c.User == "") == (len(c.ID) == 0) {
		return usageError("name either a user or the ids of mappings", command+" … USER, or --id ID")
	}
	return nil
}

// Change returns the change that sets the key disabled of the mappings.
func (c *Disable) Change(f *File, disabled bool) (*Change, error) {
	before, err := f.Mappings(nil)
	if err != nil {
		return nil, err
	}
	ids, err := c.ids(f, before)
	if err != nil {
		return nil, err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool {
		return slices.ContainsFunc(before, func(m certmap.Mapping) bool { return m.ID == id && m.Disabled == disabled })
	})
	next, err := f.setDisabled(disabled, ids)
	if err != nil {
		return nil, err
	}
	out := &Change{File: f.Name, verb: map[bool]string{true: "disabled", false: "enabled"}[disabled]}
	if after, err := f.Mappings(next); disabled && err == nil {
		out.Warnings = stillLetIn(after, difference(after, before))
	}
	return out, f.check(next, before, out, func(added, removed []Mapping) bool {
		return len(added) == len(ids) && len(removed) == len(ids) && !slices.ContainsFunc(added, func(m Mapping) bool {
			return m.Disabled != disabled || !slices.ContainsFunc(removed, func(r Mapping) bool {
				r.Line, r.Disabled = m.Line, disabled
				return fmt.Sprintf("%+v", r) == fmt.Sprintf("%+v", m)
			})
		})
	})
}

// stillLetIn returns the mappings that still give a disabled user, and the rules that refuse
// these users whatever the mapping.
func stillLetIn(after []certmap.Mapping, disabled []Mapping) []string {
	out := stillMapped(after, disabled)
	if len(out) == 0 {
		return nil
	}
	named := map[string]bool{username.Variable: true} // no rule names the users of a pattern
	for _, m := range disabled {
		if !named[m.User] {
			named[m.User] = true
			out = append(out, "to refuse "+m.User+" by every mapping, write into the policy: "+DenyUser(m.User))
		}
	}
	return out
}

// DenyUser returns the rule that refuses a user everything.
func DenyUser(user string) string { return "p, user:" + user + ", *, *, /*, deny" }

// ids returns the ids of the mappings to change.
func (c *Disable) ids(f *File, all []certmap.Mapping) ([]string, error) {
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
			patterns = "; to refuse a user of a pattern, write into the policy: " + DenyUser(c.User)
		}
	}
	switch {
	case len(ofUser) > 0:
		return ofUser, nil // the name of a user comes first
	case len(byID) > 0:
		return byID, nil
	}
	return nil, &configerror.Error{File: f.Name, What: fmt.Sprintf("no mapping names the user %q, or has this id", c.User), Hint: strings.TrimSpace(f.Command("list", "")) + " shows the mappings" + patterns}
}
