package useredit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// Remove are the flags of users remove, with the tags of kong.
type Remove struct {
	IDs  []string `arg:"" optional:"" name:"id" help:"The ids of the mappings."`
	User string   `placeholder:"NAME" help:"Remove all mappings of this user."`
}

// Check returns an error about the command line.
func (c *Remove) Check(command string) error {
	if (len(c.IDs) == 0) == (c.User == "") {
		return usageError("name either the ids of mappings or a user", command+" … ID, or --user NAME")
	}
	return nil
}

// Change returns the change that removes the mappings.
func (c *Remove) Change(f *File) (*Change, error) {
	before, err := f.Mappings(nil)
	if err != nil && c.User != "" {
		return nil, err
	}
	broken := err != nil // removing a mapping by id may repair the file
	ids := c.IDs
	for _, m := range before {
		if c.User != "" && m.User == c.User {
			ids = append(ids, m.ID)
		}
	}
	if len(ids) == 0 {
		return nil, &configerror.Error{File: f.Name, What: fmt.Sprintf("--user: no mapping names %q", c.User), Hint: strings.TrimSpace(f.Command("list", "")) + " shows the mappings; remove a pattern with {user} by its id"}
	}
	next, err := f.remove(ids)
	if err != nil {
		return nil, err
	}
	out := &Change{File: f.Name}
	if after, err := f.Mappings(next); err == nil {
		out.Warnings = stillMapped(after, difference(after, before))
	}
	return out, f.check(next, before, out, func(added, removed []Mapping) bool {
		return broken || len(added) == 0 && len(removed) == len(slices.Compact(slices.Sorted(slices.Values(ids))))
	})
}
