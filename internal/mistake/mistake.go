// Package mistake is how configuration is refused: every mistake at once, each
// with where it is, what is wrong, and how to mend it.
package mistake

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing wrong with a file or with a value built in code.
type Mistake struct {
	File   string // as the user would open it; empty for values built in code
	Line   int    // from 1; 0 when a line means nothing
	Column int    // from 1; 0 when a column means nothing
	What   string // what is wrong
	Hint   string // how to mend it; may be empty
}

// Error returns "file:line: what (hint)".
func (m *Mistake) Error() string {
	var b strings.Builder
	b.WriteString(m.Position())
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(m.What)
	if m.Hint != "" {
		b.WriteString(" (" + m.Hint + ")")
	}
	return b.String()
}

// Position returns "file", "file:line" or "file:line:column", as far as known.
func (m *Mistake) Position() string {
	switch {
	case m.Line == 0:
		return m.File
	case m.Column == 0:
		return fmt.Sprintf("%s:%d", m.File, m.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", m.File, m.Line, m.Column)
	}
}

// List collects mistakes. The zero value is empty and ready.
type List struct{ all []*Mistake }

// Add adds one.
func (l *List) Add(m Mistake) { l.all = append(l.all, &m) }

// Merge adds every mistake found in err, which may be joined or wrapped. An
// error that holds none is added as a mistake of its own, at the given place.
func (l *List) Merge(err error, at Mistake) {
	if err == nil {
		return
	}
	found := All(err)
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(found) > 0 { // this walks the tree itself
		for _, inner := range joined.Unwrap() {
			l.Merge(inner, at) // there may be others between the mistakes
		}
		return
	}
	if len(found) > 0 {
		l.all = append(l.all, found...)
		return
	}
	at.What = strings.TrimPrefix(at.What+": "+err.Error(), ": ")
	l.Add(at)
}

// Len is the number of mistakes so far.
func (l *List) Len() int { return len(l.all) }

// Err joins the mistakes, ordered by file and line, or returns nil without any.
func (l *List) Err() error {
	slices.SortStableFunc(l.all, func(a, b *Mistake) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(l.all))
	for i, m := range l.all {
		errs[i] = m
	}
	return errors.Join(errs...)
}

// All returns the mistakes in err: itself, wrapped, or joined at any depth.
func All(err error) []*Mistake {
	switch e := err.(type) { // this walks the tree itself
	case nil:
		return nil
	case *Mistake:
		return []*Mistake{e}
	case interface{ Unwrap() []error }:
		var out []*Mistake
		for _, inner := range e.Unwrap() {
			out = append(out, All(inner)...)
		}
		return out
	case interface{ Unwrap() error }:
		return All(e.Unwrap())
	}
	return nil
}
