// Package expectation reads tables of expected decisions, one a line:
//
//	# user       port      method  path          expected
//	alice        internal  GET     /orders/7     allow
//	bob          internal  GET     /orders/7     denied
//	orders-api   *         DELETE  /orders/7     deny
//	Default      public    GET     "/a file"     no-rule
//
// Fields are parted by blanks; one that holds blanks stands in double quotes, as in
// Go. The port * is every port. Expected is allow, deny, or how it is refused: denied
// (a rule says so) or no-rule (no rule says anything).
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

// Row is one line.
type Row struct {
	Line                     int
	User, Port, Method, Path string
	Want                     string // one of Wants
}

// Wants are what can be expected.
var Wants = []string{"allow", "deny", "denied", "no-rule"}

const rowForm = "user port method path allow|deny|denied|no-rule"

// Parse reads a table. Every mistake is reported, joined.
func Parse(name string, data []byte) ([]Row, error) {
	var out []Row
	var wrong errorlist.List
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		say := func(what, hint string) { wrong.Add(configerror.Error{File: name, Line: n, What: what, Hint: hint}) }
		line = strings.TrimRight(line, "\r\n")
		if !utf8.ValidString(line) || strings.ContainsAny(line, "\x00\r") {
			say("this is not text", "is it the right file?")
			return nil, wrong.Err()
		}
		fields, why := splitFields(line)
		switch {
		case why != "":
			say(why, rowForm)
		case len(fields) == 0:
		case len(fields) != 5:
			say(fmt.Sprintf("%d fields, where 5 are wanted", len(fields)), rowForm)
		case !slices.Contains(Wants, fields[4]):
			say(fmt.Sprintf("%q cannot be expected", fields[4]), "allow, deny, denied or no-rule")
		default:
			out = append(out, Row{Line: n, User: fields[0], Port: fields[1], Method: fields[2], Path: fields[3], Want: fields[4]})
		}
	}
	if wrong.Len() == 0 && len(out) == 0 {
		wrong.Add(configerror.Error{File: name, Line: 1, What: "the table has no row", Hint: rowForm}) // a test that tests nothing passes for the wrong reason
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	return out, nil
}

// split returns the fields of a line, or what is wrong with it.
func splitFields(line string) (fields []string, why string) {
	for {
		line = strings.TrimLeft(line, " \t")
		switch {
		case line == "" || line[0] == '#' && len(fields) == 0:
			return fields, ""
		case line[0] == '"':
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, "a quote that does not end"
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, "a quote that cannot be read"
			}
			fields, line = append(fields, text), line[len(quoted):]
			if line != "" && line[0] != ' ' && line[0] != '\t' {
				return nil, "something stands right behind a quote"
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

// Met reports whether a decision is what the row wants. The word is empty where it is
// allowed.
func (r Row) Matches(allowed bool, word string) bool {
	switch r.Want {
	case "allow":
		return allowed
	case "deny":
		return !allowed
	}
	return !allowed && word == r.Want
}
