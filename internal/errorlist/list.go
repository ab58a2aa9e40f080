// Package errorlist collects configuration errors, so that one attempt reports all of
// them.
package errorlist

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// List collects errors. The zero value is empty and ready.
type List struct{ all []*configerror.Error }

// Add adds one error.
func (l *List) Add(e configerror.Error) { l.all = append(l.all, &e) }

// Merge adds every configuration error in err, which may be joined or wrapped. An err
// without any is added as an error of its own, at the given place.
func (l *List) Merge(err error, at configerror.Error) {
	if err == nil {
		return
	}
	found := configerror.All(err)
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(found) > 0 { // this walks the tree itself
		for _, inner := range joined.Unwrap() {
			l.Merge(inner, at) // other errors may stand between the configuration errors
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

// All returns the errors so far, in the order of adding. The slice must not be changed.
func (l *List) All() []*configerror.Error { return l.all }

// Len returns the number of errors so far.
func (l *List) Len() int { return len(l.all) }

// Err joins the errors, ordered by file, line and column. It is nil without any.
func (l *List) Err() error {
	slices.SortStableFunc(l.all, func(a, b *configerror.Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(l.all))
	for i, e := range l.all {
		errs[i] = e
	}
	return errors.Join(errs...)
}
