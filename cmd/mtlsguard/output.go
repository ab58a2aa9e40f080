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

// errNo is a result that is no: it has been printed, and the status is 1.
var errNegative = errors.New("no")

// mistaken makes a mistake of what somebody asked for.
func usageError(what, hint string) error { return &configerror.Error{What: what, Hint: hint} }

// complain writes every mistake as a line "error:" and a line "hint:". Where a mistake
// has no hint, the given one stands in.
func printErrors(w io.Writer, err error, hint string) {
	mistakes := configerror.All(err)
	if len(mistakes) == 0 {
		mistakes = []*configerror.Error{{What: err.Error()}}
	}
	for _, m := range mistakes {
		what := m.What
		if place := m.Position(); place != "" {
			what = place + ": " + what
		}
		fmt.Fprintln(w, "error: "+escape.Printable(what, 0))
		if h := m.Hint; h != "" || hint != "" {
			if h == "" {
				h = hint
			}
			fmt.Fprintln(w, "hint: "+escape.Printable(h, 0))
		}
	}
}

// emit prints a result as JSON.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printf prints a line or more of a result.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }

// table prints rows with their columns aligned.
func (a *app) printTable(indent string, rows [][]string) {
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, strings.TrimRight(indent+strings.Join(r, "\t"), "\t "))
	}
	w.Flush()
}

// verb takes the names of arguments out of what kong calls a command.
func commandName(command string) string {
	var words []string
	for _, w := range strings.Fields(command) {
		if !strings.HasPrefix(w, "<") {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// shell quotes a word for a shell where it needs it.
func shellQuote(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@,+%=") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
