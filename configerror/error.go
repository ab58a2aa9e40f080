// Package configerror defines the error type of every constructor, loader and reload of
// this module. An error has a position, a description, and a hint.
//
// A constructor joins all errors of a configuration; All returns them one by one:
//
//	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{})
//	for _, e := range configerror.All(err) {
//		fmt.Printf("%s: %s\n\thint: %s\n", e.Position(), e.What, e.Hint)
//	}
package configerror

import (
	"fmt"
	"strings"
)

// Error is one error in a configuration: in a file, or in a value built in code.
type Error struct {
	File   string // as the user would open it; empty for values built in code
	Line   int    // from 1; 0: the error has no line
	Column int    // from 1; 0: the error has no column
	What   string // what is wrong; it quotes the wrong value
	Hint   string // how to correct it; may be empty
}

// Error returns "file:line: what (hint)".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Position())
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.What)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Position returns "file", "file:line" or "file:line:column", as far as known.
func (e *Error) Position() string {
	switch {
	case e.Line == 0:
		return e.File
	case e.Column == 0:
		return fmt.Sprintf("%s:%d", e.File, e.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
	}
}

// All returns every configuration error in err: err itself, and those that it wraps or
// joins at any depth, in their order. It returns nil without any.
func All(err error) []*Error {
	switch e := err.(type) { // this walks the tree itself
	case nil:
		return nil
	case *Error:
		return []*Error{e}
	case interface{ Unwrap() []error }:
		var all []*Error
		for _, inner := range e.Unwrap() {
			all = append(all, All(inner)...)
		}
		return all
	case interface{ Unwrap() error }:
		return All(e.Unwrap())
	}
	return nil
}
