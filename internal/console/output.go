// Package console has what the commands mtlsguard and mtlsguard-fleet have in common: how they print
// results, errors, help and versions.
package console

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

// ErrNegative makes the exit status 1. The result has already been printed.
var ErrNegative = errors.New("negative result")

// UsageError returns an error about the command line.
func UsageError(what, hint string) error { return &configerror.Error{What: what, Hint: hint} }

// Output is standard output. It remembers the first error, and writes nothing after it.
type Output struct {
	W   io.Writer
	Err error
}

func (o *Output) Write(b []byte) (int, error) {
	if o.Err != nil {
		return 0, o.Err
	}
	n, err := o.W.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	o.Err = err
	return n, err
}

// PrintErrors writes each error as a line "error:" and a line "hint:". The given hint
// is used for errors that have none.
func PrintErrors(w io.Writer, err error, hint string) {
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

// PrintJSON writes a result as JSON.
func PrintJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// PrintTable writes rows with aligned columns.
func PrintTable(to io.Writer, indent string, rows [][]string) {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, strings.TrimRight(indent+strings.Join(r, "\t"), "\t "))
	}
	w.Flush()
}

// Name returns a kong command without the names of its arguments.
func Name(command string) string {
	var words []string
	for _, w := range strings.Fields(command) {
		if !strings.HasPrefix(w, "<") {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// Plural returns a number with the noun in the singular or plural.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
