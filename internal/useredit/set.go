package useredit

import (
	"fmt"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

// Set changes keys of mappings. A nil field leaves its key as it is.
type Set struct {
	IDs      []string // at least one
	Disabled *bool
	// NotBefore and NotAfter are dates as users.yaml has them; empty: no limit.
	NotBefore, NotAfter *string
}

// Change returns the change that sets the keys.
func (c *Set) Change(f *File) (*Change, error) {
	if len(c.IDs) == 0 {
		return nil, usageError("no mapping is named", "name the ids of mappings")
	}
	before, err := f.Mappings(nil)
	if err != nil {
		return nil, err
	}
	ids := slices.Compact(slices.Sorted(slices.Values(c.IDs)))
	next, err := f.change(ids, func(name string, data []byte, ids []string) ([]byte, error) {
		return usersfile.Set(name, data, c.Fields(), ids...)
	})
	if err != nil {
		return nil, err
	}
	out := &Change{File: f.Name, verb: "changed"}
	if after, err := f.Mappings(next); err == nil && c.Disabled != nil && *c.Disabled {
		out.Warnings = stillLetIn(after, difference(after, before))
	}
	return out, f.check(next, before, out, func(added, removed []Mapping) bool {
		return len(added) == len(removed) && !slices.ContainsFunc(added, func(m Mapping) bool { return !c.intended(m, ids, before) })
	})
}

// Fields returns the keys to set. An empty Text removes a key.
func (c *Set) Fields() (out []usersfile.Field) {
	if c.Disabled != nil {
		out = append(out, usersfile.Disabled(*c.Disabled))
	}
	if c.NotBefore != nil {
		out = append(out, usersfile.Field{Key: "not_before", Text: *c.NotBefore})
	}
	if c.NotAfter != nil {
		out = append(out, usersfile.Field{Key: "not_after", Text: *c.NotAfter})
	}
	return out
}

// intended reports whether a mapping is one of those to change, with the keys as they are to be,
// and all else as before.
func (c *Set) intended(m Mapping, ids []string, before []certmap.Mapping) bool {
	i := slices.IndexFunc(before, func(b certmap.Mapping) bool { return b.ID == m.ID })
	if i < 0 || !slices.Contains(ids, m.ID) {
		return false
	}
	want := NewMapping(before[i])
	want.Line = m.Line
	if c.Disabled != nil {
		want.Disabled = *c.Disabled
	}
	if c.NotBefore != nil {
		want.NotBefore = normalDate(*c.NotBefore)
	}
	if c.NotAfter != nil {
		want.NotAfter = normalDate(*c.NotAfter)
	}
	return fmt.Sprintf("%+v", want) == fmt.Sprintf("%+v", m)
}

// normalDate returns a date as NewMapping prints it. The loader has accepted it.
func normalDate(text string) string {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return formatTime(t)
		}
	}
	return text
}
