package policy

import (
	"io"
	"strconv"
	"strings"
	"unicode"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// maxLine is the longest line of a policy file, in bytes.
const maxLine = 64 << 10

// Load reads a policy file and builds its engine. The name stands for the file in
// errors and decisions. The error joins every error in the file, each with its line,
// or is the reader's own.
func Load(name string, r io.Reader, options ...Option) (*Engine, error) {
	c := newChecker(options)
	rules, members, err := c.read(name, r)
	if err != nil {
		return nil, err
	}
	return build(c, rules, members)
}

// split finds the fields of a line and returns their number: 6 for a rule, 3 for a
// membership. It returns 0 for a comment, for an empty line, and for a line with an error,
// which it adds.
func (c *checker) split(at Position, line string, fields *[6]string) int {
	if !isPlain(line) && !c.checkCharacters(at, &line) {
		return 0
	}
	line = strings.Trim(line, " \t")
	if line == "" || line[0] == '#' {
		return 0
	}
	reject := func(wrong, hint string) int {
		c.add(at, wrong, hint)
		return 0
	}
	if strings.Contains(line, `"`) {
		return reject("the line contains a quote", "fields are not quoted and contain no commas")
	}
	if strings.Count(line, ",") >= 16 {
		return reject("the line has more than 16 fields", "write: "+formRule)
	}
	n := 0
	for rest, more := line, true; more; n++ {
		var f string
		f, rest, more = strings.Cut(rest, ",")
		f = strings.Trim(f, " \t")
		if hasControl(f) {
			return reject("a field contains a control character: "+escape.Quote(f, escape.Short), "")
		}
		if n < len(fields) {
			fields[n] = f
		}
	}
	switch t := fields[0]; {
	case t == typeRule && n == 5 && fields[4] != Allow && fields[4] != Deny:
		return reject("the line has 5 fields, a rule has 6", "the effect is missing: end the line with allow or deny")
	case t == typeRule && n != 6:
		return reject("the line has "+fieldCount(n)+", a rule has 6", "write: "+formRule)
	case t == typeMember && n != 3:
		return reject("the line has "+fieldCount(n)+", a membership has 3", "write: "+formMember)
	case t == typeRule || t == typeMember:
		return n
	default:
		return reject("the line has the unknown type "+escape.Quote(t, escape.Short), "write: "+formRule+"; or: "+formMember)
	}
}

// checkCharacters reports whether a line has only characters that a policy may have. It cuts
// a byte order mark off.
func (c *checker) checkCharacters(at Position, line *string) bool {
	reject := func(wrong, hint string) bool {
		c.add(at, wrong, hint)
		return false
	}
	if at.Line == 1 && strings.HasPrefix(*line, "\uFEFF") {
		reject("the file begins with a byte order mark", "save it as plain UTF-8")
		*line = (*line)[len("\uFEFF"):]
	}
	// Both characters can hide a line from a person who reads the file, in a comment too.
	if strings.IndexByte(*line, 0) >= 0 {
		return reject("the line contains a NUL byte", "save the file as plain UTF-8")
	}
	if strings.IndexByte(*line, '\r') >= 0 {
		return reject("the line contains a carriage return that does not end it", "lines end with LF or CR LF")
	}
	if _, name := escape.Misleading([]byte(*line)); name != "" {
		return reject("the line contains "+name, escape.MisleadingHint)
	}
	return true
}

// isPlain reports whether all characters are printable ASCII. One look at each byte spares
// most lines four others.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i]-' ' > '~'-' ' {
			return false
		}
	}
	return true
}

func hasControl(s string) bool { return !isPlain(s) && strings.ContainsFunc(s, unicode.IsControl) }

// The forms of the two types of line, for hints.
const (
	formRule   = "p, subject, port, method, path, effect"
	formMember = "g, member, group:NAME"
)

func fieldCount(fields int) string {
	if fields == 1 {
		return "1 field"
	}
	return strconv.Itoa(fields) + " fields"
}
