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

// Load reads a policy file and builds its engine. The error joins every mistake
// in the file, each with its line; name is how mistakes and decisions call the
// file.
func Load(name string, r io.Reader, options ...Option) (*Engine, error) {
	c := newChecker(options)
	rules, members, err := read(c, name, r)
	if err != nil {
		return nil, err
	}
	return build(c, rules, members)
}

// Read reads a policy file: the grammar of every line, and of every field in it.
// The error joins every mistake, each with its line, and nothing is returned
// beside it. Whether ports and methods exist is for New to say.
func Read(name string, r io.Reader) ([]Rule, []Member, error) {
	c := newChecker(nil)
	c.words.lax = true
	rules, members, err := read(c, name, r)
	if err := errors.Join(err, c.err()); err != nil {
		return nil, nil, err
	}
	return rules, members, nil
}

// read returns the lines without mistakes, and leaves the mistakes with c. The
// error is the reader's.
func read(c *checker, file string, r io.Reader) ([]Rule, []Member, error) {
	var rules []Rule
	var members []Member
	c.file = file
	in := bufio.NewReaderSize(r, maxLine+2)
	for n := 1; ; n++ {
		raw, err := in.ReadSlice('\n')
		long := false
		for errors.Is(err, bufio.ErrBufferFull) {
			long = true // the rest is passed over without being kept
			raw, err = in.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, err // half a policy is none
		}
		text, ended := bytes.CutSuffix(raw, []byte("\n"))
		if ended {
			text = bytes.TrimSuffix(text, []byte("\r"))
		}
		if long || len(text) > maxLine {
			c.add(file, n, "the line is longer than 64 KiB", "")
		} else if fields := c.split(file, n, text); fields != nil {
			switch fields[0] {
			case "p":
				rule := Rule{Subject: fields[1], Port: fields[2], Method: fields[3], Path: fields[4], Effect: Effect(fields[5]), File: file, Line: n}
				if c.rule(&rule, len(rules)) {
					rules = append(rules, rule)
				}
			case "g":
				member := Member{Subject: fields[1], Group: fields[2], File: file, Line: n}
				if c.member(&member, len(members)) {
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

// split returns the fields of a line, at the right number for its type, or nil
// where there are none or a mistake was found.
func (c *checker) split(file string, n int, raw []byte) []string {
	bad := func(what, hint string) []string { c.add(file, n, what, hint); return nil }
	if n == 1 && bytes.HasPrefix(raw, []byte("\uFEFF")) {
		bad("the file begins with a byte order mark", "save it as plain UTF-8")
		raw = raw[len("\uFEFF"):]
	}
	// These two can hide a line from whoever reads the file, in comments as well.
	if bytes.IndexByte(raw, 0) >= 0 {
		return bad("the line holds a NUL byte", "save the file as plain UTF-8")
	}
	if bytes.IndexByte(raw, '\r') >= 0 {
		return bad("the line holds a carriage return that does not end it", "lines end with LF or CR LF")
	}
	if _, what := escape.Misleading(raw); what != "" {
		return bad("the line holds "+what, escape.MisleadingHint)
	}
	raw = bytes.Trim(raw, " \t")
	if len(raw) == 0 || raw[0] == '#' {
		return nil
	}
	line := string(raw)
	switch {
	case strings.Contains(line, `"`):
		return bad("the line holds a quote", "fields are not quoted and hold no commas")
	}
	if count := strings.Count(line, ",") + 1; count > 16 {
		return bad("the line has too many fields", "write: "+formRule)
	}
	fields := strings.Split(line, ",")
	for i, f := range fields {
		fields[i] = strings.Trim(f, " \t")
		if hasControl(fields[i]) {
			return bad("a field holds a control character: "+escape.Quote(fields[i], escape.Short), "")
		}
	}
	switch t := fields[0]; {
	case t == "p" && len(fields) == 5 && fields[4] != string(Allow) && fields[4] != string(Deny):
		return bad("the line has 5 fields, a rule has 6", "the effect is missing: end the line with allow or deny")
	case t == "p" && len(fields) != 6:
		return bad("the line has "+fieldCount(len(fields))+", a rule has 6", "write: "+formRule)
	case t == "g" && len(fields) != 3:
		return bad("the line has "+fieldCount(len(fields))+", a membership has 3", "write: "+formMember)
	case t == "p" || t == "g":
		return fields
	default:
		return bad("the line is of the unknown type "+escape.Quote(t, escape.Short), "write: "+formRule+"; or: "+formMember)
	}
}

const (
	formRule   = "p, subject, port, method, path, effect"
	formMember = "g, member, group"
)

func fieldCount(fields int) string {
	if fields == 1 {
		return "1 field"
	}
	return strconv.Itoa(fields) + " fields"
}
