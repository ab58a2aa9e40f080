package policy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

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

// read returns the lines without errors, and adds the errors of the others. The error
// is the reader's.
func (c *checker) read(file string, r io.Reader) (rules []Rule, members []Member, err error) {
	c.file = file
	in := bufio.NewReaderSize(r, maxLine+2)
	for n := 1; ; n++ {
		raw, err := in.ReadSlice('\n')
		tooLong := false
		for errors.Is(err, bufio.ErrBufferFull) {
			tooLong = true // skip the rest, so that a line without an end takes no memory
			raw, err = in.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, err // half a policy is another policy
		}
		line, ended := bytes.CutSuffix(raw, []byte("\n"))
		if ended {
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		if tooLong || len(line) > maxLine {
			c.add(Position{File: file, Line: n}, "the line is longer than 64 KiB", "")
		} else if fields := c.split(Position{File: file, Line: n}, line); fields != nil {
			switch fields[0] {
			case typeRule:
				rule := Rule{Subject: fields[1], Port: fields[2], Method: fields[3], Path: fields[4], Effect: fields[5], File: file, Line: n}
				if c.checkRule(&rule, len(rules)) {
					rules = append(rules, rule)
				}
			case typeMember:
				member := Member{Subject: fields[1], Group: fields[2], File: file, Line: n}
				if c.checkMember(&member, len(members)) {
					members = append(members, member)
				}
			}
			if !ended {
				c.unended = n
			}
		}
		if err != nil {
			return rules, members, nil
		}
	}
}

// split returns the fields of a line: 6 for a rule, 3 for a membership. It returns nil
// for a comment, for an empty line, and for a line with an error, which it adds.
func (c *checker) split(at Position, raw []byte) []string {
	reject := func(wrong, hint string) []string {
		c.add(at, wrong, hint)
		return nil
	}
	if at.Line == 1 && bytes.HasPrefix(raw, []byte("\uFEFF")) {
		reject("the file begins with a byte order mark", "save it as plain UTF-8")
		raw = raw[len("\uFEFF"):]
	}
	// Both characters can hide a line from a person who reads the file, in a comment too.
	if bytes.IndexByte(raw, 0) >= 0 {
		return reject("the line contains a NUL byte", "save the file as plain UTF-8")
	}
	if bytes.IndexByte(raw, '\r') >= 0 {
		return reject("the line contains a carriage return that does not end it", "lines end with LF or CR LF")
	}
	if _, name := escape.Misleading(raw); name != "" {
		return reject("the line contains "+name, escape.MisleadingHint)
	}
	raw = bytes.Trim(raw, " \t")
	if len(raw) == 0 || raw[0] == '#' {
		return nil
	}
	line := string(raw)
	if strings.Contains(line, `"`) {
		return reject("the line contains a quote", "fields are not quoted and contain no commas")
	}
	if strings.Count(line, ",") >= 16 {
		return reject("the line has more than 16 fields", "write: "+formRule)
	}
	fields := strings.Split(line, ",")
	for i, f := range fields {
		fields[i] = strings.Trim(f, " \t")
		if hasControl(fields[i]) {
			return reject("a field contains a control character: "+escape.Quote(fields[i], escape.Short), "")
		}
	}
	switch t := fields[0]; {
	case t == typeRule && len(fields) == 5 && fields[4] != Allow && fields[4] != Deny:
		return reject("the line has 5 fields, a rule has 6", "the effect is missing: end the line with allow or deny")
	case t == typeRule && len(fields) != 6:
		return reject("the line has "+fieldCount(len(fields))+", a rule has 6", "write: "+formRule)
	case t == typeMember && len(fields) != 3:
		return reject("the line has "+fieldCount(len(fields))+", a membership has 3", "write: "+formMember)
	case t == typeRule || t == typeMember:
		return fields
	default:
		return reject("the line has the unknown type "+escape.Quote(t, escape.Short), "write: "+formRule+"; or: "+formMember)
	}
}

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
