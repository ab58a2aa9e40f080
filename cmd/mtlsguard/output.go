package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// errNegative makes the exit status 1. The result has already been printed.
var errNegative = errors.New("negative result")

// usageError returns an error about the command line.
func usageError(what, hint string) error { return &configerror.Error{What: what, Hint: hint} }

// output is standard output. It remembers the first error, and writes nothing after it.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(b []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	o.err = err
	return n, err
}

// outputError returns the error for a result that is missing or incomplete.
func (a *app) outputError(err error) error {
	what, hint := "standard output cannot be written: "+err.Error(), "the result is incomplete: send it where there is space"
	if a.changed != "" {
		what, hint = what+"; "+a.changed+" has been changed", "the result alone is incomplete: do not repeat the command"
	}
	return usageError(what, hint)
}

// printErrors writes each error as a line "error:" and a line "hint:". The given hint
// is used for errors that have none.
func printErrors(w io.Writer, err error, hint string) {
	all := configerror.All(err)
	if len(all) == 0 {
		all = []*configerror.Error{{What: err.Error()}}
	}
	for _, e := range all {
		what := e.What
		if position := e.Position(); position != "" {
			what = position + ": " + what
		}
		fmt.Fprintln(w, "error: "+escape.Printable(what, 0))
		if h := e.Hint; h != "" || hint != "" {
			if h == "" {
				h = hint
			}
			fmt.Fprintln(w, "hint: "+escape.Printable(h, 0))
		}
	}
}

// printJSON writes a result to standard output as JSON.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printf writes a part of a result to standard output.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }

// printTable writes rows with aligned columns.
func (a *app) printTable(indent string, rows [][]string) {
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, strings.TrimRight(indent+strings.Join(r, "\t"), "\t "))
	}
	w.Flush()
}

// commandName returns a kong command without the names of its arguments.
func commandName(command string) string {
	var words []string
	for _, w := range strings.Fields(command) {
		if !strings.HasPrefix(w, "<") {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// shellQuote quotes a word for a shell if that is needed.
func shellQuote(word string) string { return escape.Shell(word) }

// plural returns a number with the noun in the singular or plural.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
