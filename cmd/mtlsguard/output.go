package main

import (
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// errNegative makes the exit status 1. The result has already been printed.
var errNegative = console.ErrNegative

// usageError returns an error about the command line.
func usageError(what, hint string) error { return console.UsageError(what, hint) }

// outputError returns the error for a result that is missing or incomplete.
func (a *app) outputError(err error) error {
	what, hint := "standard output cannot be written: "+err.Error(), "the result is incomplete: send it where there is space"
	if a.changed != "" {
		what, hint = what+"; "+a.changed+" has been changed", "the result alone is incomplete: do not repeat the command"
	}
	return usageError(what, hint)
}

// printJSON writes a result to standard output as JSON.
func (a *app) printJSON(v any) error { return console.PrintJSON(a.stdout, v) }

// printf writes a part of a result to standard output.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }

// printTable writes rows with aligned columns.
func (a *app) printTable(indent string, rows [][]string) { console.PrintTable(a.stdout, indent, rows) }

// shellQuote quotes a word for a shell if that is needed.
func shellQuote(word string) string { return escape.Shell(word) }

// plural returns a number with the noun in the singular or plural.
func plural(n int, one, many string) string { return console.Plural(n, one, many) }
