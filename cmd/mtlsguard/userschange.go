package main

import (
	"fmt"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// writeChange writes a changed file, if the file loads and exactly the intended mappings
// changed.
func (f *usersFile) writeChange(a *app, next usersEdit, before []certmap.Mapping, out usersChange, intended func(added, removed []mappingReport) bool) error {
	after, err := f.read(next)
	if err != nil {
		return err
	}
	added, removed := difference(before, after), difference(after, before)
	if !intended(added, removed) {
		// Fail closed: the file has a form that cannot be edited line by line.
		return &configerror.Error{File: f.name, What: "the change would alter other mappings too", Hint: "nothing was written: edit the file by hand"}
	}
	out.Added, out.Removed = added, removed
	if out.Written {
		if err := f.write(a, next); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(out)
	}
	verb := out.verb
	prefix := map[bool]string{true: "", false: "would be "}[out.Written]
	for _, m := range added {
		if verb != "" {
			a.printf("%s%s at %s:%d: %s, user %s by %s %s\n", prefix, verb, m.File, m.Line, escape.Printable(m.ID, 0), m.User, m.Kind, escape.Printable(m.Value, 0))
			continue
		}
		a.printf("%sadded to %s:%d\n  %s\n", prefix, m.File, m.Line, escape.Printable(out.Line, 0))
	}
	for _, m := range removed {
		if verb != "" {
			break
		}
		a.printf("%sremoved from %s:%d: %s, user %s by %s %s\n", prefix, m.File, m.Line, escape.Printable(m.ID, 0), m.User, m.Kind, escape.Printable(m.Value, 0))
	}
	if verb != "" && len(added) == 0 {
		a.printf("nothing to change: the mappings are %s\n", verb)
	}
	for _, w := range out.Warnings {
		a.printf("warning: %s\n", escape.Printable(w, 0))
	}
	return nil
}

// difference returns the mappings of b that a lacks, wherever they stand in the file.
func difference(a, b []certmap.Mapping) []mappingReport {
	key := func(m certmap.Mapping) string {
		d := newMappingReport(m)
		d.Line = 0
		return fmt.Sprintf("%+v", d)
	}
	known := map[string]bool{}
	for _, m := range a {
		known[key(m)] = true
	}
	out := []mappingReport{}
	for _, m := range b {
		if !known[key(m)] {
			out = append(out, newMappingReport(m))
		}
	}
	return out
}
