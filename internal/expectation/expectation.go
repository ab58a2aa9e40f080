// Package expectation reads tables of expected decisions, one a line:
//
//	# user       port      method  path          expected
//	alice        internal  GET     /orders/7     allow
//	bob          internal  GET     /orders/7     denied
//	orders-api   *         DELETE  /orders/7     deny
//	Default      public    GET     "/a file"     no-rule
//
// Blanks separate the fields. A field with blanks is in double quotes, as in Go. The port
// * is every port. The expected decision is allow, deny, or the reason of a refusal:
// denied (a rule denies the request) or no-rule (no rule matches it).
package expectation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// Row is one expected decision.
type Row struct {
	Line                     int
	User, Port, Method, Path string
	Want                     string // one of Wants
}

// Wants lists the expected decisions that a row can have.
var Wants = []string{"allow", "deny", "denied", "no-rule"}

// rowForm is the hint for a row that cannot be parsed.
const rowForm = "user port method path allow|deny|denied|no-rule"

// Parse reads a table. The error joins the errors of all rows.
func Parse(name string, data []byte) ([]Row, error) {
	var out []Row
	var errs errorlist.List
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		add := func(what, hint string) { errs.Add(configerror.Error{File: name, Line: n, What: what, Hint: hint}) }
		line = strings.TrimRight(line, "\r\n")
		if !utf8.ValidString(line) || strings.ContainsAny(line, "\x00\r") {
			add("the line is not text", "name a text file in UTF-8")
			return nil, errs.Err()
		}
		fields, why := splitFields(line)
		switch {
		case why != "":
			add(why, rowForm)
		case len(fields) == 0:
		case len(fields) != 5:
			add(fmt.Sprintf("the row has %d fields instead of 5", len(fields)), rowForm)
		case !slices.Contains(Wants, fields[4]):
			add(fmt.Sprintf("%q is not a decision", fields[4]), "allow, deny, denied or no-rule")
		default:
			out = append(out, Row{Line: n, User: fields[0], Port: fields[1], Method: fields[2], Path: fields[3], Want: fields[4]})
		}
	}
	if errs.Len() == 0 && len(out) == 0 {
		errs.Add(configerror.Error{File: name, Line: 1, What: "the table has no row", Hint: rowForm}) // an empty table would always pass
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	return out, nil
}

// splitFields returns the fields of a line, or why it cannot be parsed.
func splitFields(line string) (fields []string, why string) {
	for {
		line = strings.TrimLeft(line, " \t")
		switch {
		case line == "" || line[0] == '#' && len(fields) == 0:
			return fields, ""
		case line[0] == '"':
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, "a closing quote is missing"
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, "the quoted text has an invalid escape"
			}
			fields, line = append(fields, text), line[len(quoted):]
			if line != "" && line[0] != ' ' && line[0] != '\t' {
				return nil, "a blank is missing after a closing quote"
			}
		default:
			end := strings.IndexAny(line, " \t")
			if end < 0 {
				end = len(line)
			}
			fields, line = append(fields, line[:end]), line[end:]
		}
	}
}

// Matches reports whether a decision is the expected one. The reason of an allowed request
// is "".
func (r Row) Matches(allowed bool, reason string) bool {
	switch r.Want {
	case "allow":
		return allowed
	case "deny":
		return !allowed
	}
	return !allowed && reason == r.Want
}
