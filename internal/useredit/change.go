package useredit

import (
	"fmt"
	"io"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// Change is the result of the commands that change mappings, and its JSON.
type Change struct {
	File     string    `json:"file"`
	Line     string    `json:"line,omitempty"` // the added line
	Added    []Mapping `json:"added,omitempty"`
	Removed  []Mapping `json:"removed,omitempty"`
	Written  bool      `json:"written"`
	Warnings []string  `json:"warnings,omitempty"`
	Edit     Edit      `json:"-"` // what to write
	verb     string    // enabled, disabled, or ""
}

// check completes a change. The file must load after it, and exactly the intended mappings
// must have changed.
func (f *File) check(next Edit, before []certmap.Mapping, out *Change, intended func(added, removed []Mapping) bool) error {
	after, err := f.Mappings(next)
	if err != nil {
		return err
	}
	added, removed := difference(before, after), difference(after, before)
	if !intended(added, removed) {
		// Fail closed: the file has a form that cannot be edited line by line.
		return &configerror.Error{File: f.Name, What: "the change would alter other mappings too", Hint: "nothing was written: edit the file by hand"}
	}
	out.Added, out.Removed, out.Edit = added, removed, next
	return nil
}

// Print writes the change for people.
func (out *Change) Print(w io.Writer) {
	verb := out.verb
	prefix := map[bool]string{true: "", false: "would be "}[out.Written]
	for _, m := range out.Added {
		if verb != "" {
			fmt.Fprintf(w, "%s%s at %s:%d: %s, user %s by %s %s\n", prefix, verb, m.File, m.Line, escape.Printable(m.ID, 0), m.User, m.Kind, escape.Printable(m.Value, 0))
			continue
		}
		fmt.Fprintf(w, "%sadded to %s:%d\n  %s\n", prefix, m.File, m.Line, escape.Printable(out.Line, 0))
	}
	for _, m := range out.Removed {
		if verb != "" {
			break
		}
		fmt.Fprintf(w, "%sremoved from %s:%d: %s, user %s by %s %s\n", prefix, m.File, m.Line, escape.Printable(m.ID, 0), m.User, m.Kind, escape.Printable(m.Value, 0))
	}
	if verb != "" && len(out.Added) == 0 {
		fmt.Fprintf(w, "nothing to change: the mappings are %s\n", verb)
	}
	for _, warning := range out.Warnings {
		fmt.Fprintf(w, "warning: %s\n", escape.Printable(warning, 0))
	}
}

// difference returns the mappings of b that a lacks, wherever they stand in the file.
func difference(a, b []certmap.Mapping) []Mapping {
	key := func(m certmap.Mapping) string {
		d := NewMapping(m)
		d.Line = 0
		return fmt.Sprintf("%+v", d)
	}
	known := map[string]bool{}
	for _, m := range a {
		known[key(m)] = true
	}
	out := []Mapping{}
	for _, m := range b {
		if !known[key(m)] {
			out = append(out, NewMapping(m))
		}
	}
	return out
}

// usageError returns an error about the editor's input, and not about a file.
func usageError(what, hint string) error { return &configerror.Error{What: what, Hint: hint} }
