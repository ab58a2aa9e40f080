package natsconf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
)

const (
	maxDepth  = 32        // maps and arrays in one another, and files in files
	maxFiles  = 1000      // with those of include
	maxValues = 1_000_000 // of all files
)

// parser reads the configuration language of NATS.
type parser struct {
	file    string
	text    string
	at      int
	line    int
	depth   int
	include func(file string, line int, name string, depth int, into *value) error
	values  *int
}

var errEnd = errors.New("the file ends in a value")

func (p *parser) fail(what string) error {
	return &configerror.Error{File: p.file, Line: p.line, What: what, Hint: "nats-server -t -c FILE shows what is wrong with it"}
}

// skip passes over blanks, line ends, comments and the characters of ends.
func (p *parser) skip(ends string) {
	for p.at < len(p.text) {
		c := p.text[p.at]
		switch {
		case c == '\n':
			p.line++
			p.at++
		case c == ' ' || c == '\t' || c == '\r' || strings.IndexByte(ends, c) >= 0:
			p.at++
		case c == '#' || strings.HasPrefix(p.text[p.at:], "//"):
			end := strings.IndexByte(p.text[p.at:], '\n')
			if end < 0 {
				end = len(p.text) - p.at
			}
			p.at += end
		default:
			return
		}
	}
}

// readMap reads the keys of a map up to its end, or those of the file.
func (p *parser) readMap(into *value, top bool) error {
	for {
		p.skip(",;")
		switch {
		case p.at == len(p.text) && top:
			return nil
		case p.at == len(p.text):
			return p.fail(errEnd.Error())
		case p.text[p.at] == '}' && !top:
			p.at++
			return nil
		}
		line := p.line
		key, err := p.readKey()
		if err != nil {
			return err
		}
		p.blanks()
		if p.at < len(p.text) && (p.text[p.at] == '=' || p.text[p.at] == ':') {
			p.at++
		}
		if strings.EqualFold(key, "include") {
			p.blanks()
			name, err := p.readValue()
			if err == nil && name.kind != 't' {
				err = p.fail("include names a file")
			}
			if err == nil {
				err = p.include(p.file, line, name.text, p.depth, into)
			}
			if err != nil {
				return err
			}
			continue
		}
		p.skip("")
		v, err := p.readValue()
		if err != nil {
			return err
		}
		v.line = line
		into.keys, into.all = append(into.keys, key), append(into.all, v)
	}
}

func (p *parser) blanks() {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
}

// readKey reads a key.
func (p *parser) readKey() (string, error) {
	if c := p.text[p.at]; c == '"' || c == '\'' {
		end := strings.IndexByte(p.text[p.at+1:], c)
		if end < 0 {
			return "", p.fail("a quote is not closed")
		}
		key := p.text[p.at+1 : p.at+1+end]
		p.at += end + 2
		p.line += strings.Count(key, "\n")
		return key, nil
	}
	start := p.at
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n=:{}[],;\"'()", p.text[p.at]) < 0 {
		p.at++
	}
	if start == p.at {
		return "", p.fail(fmt.Sprintf("%q begins no key", p.text[p.at]))
	}
	return p.text[start:p.at], nil
}

// readValue reads a value.
func (p *parser) readValue() (*value, error) {
	if *p.values++; *p.values > maxValues {
		return nil, p.fail(fmt.Sprintf("more than %d values", maxValues))
	}
	if p.at == len(p.text) {
		return nil, p.fail(errEnd.Error())
	}
	v := &value{file: p.file, line: p.line, kind: 't'}
	switch c := p.text[p.at]; c {
	case '{', '[':
		v.kind = c
		p.at++
		if p.depth++; p.depth > maxDepth {
			return nil, p.fail("values in too many values")
		}
		err := p.readMapOrArray(v)
		p.depth--
		return v, err
	case '\'':
		end := strings.IndexByte(p.text[p.at+1:], c)
		if end < 0 {
			return nil, p.fail("a quote is not closed")
		}
		v.text = p.text[p.at+1 : p.at+1+end]
		p.line += strings.Count(v.text, "\n")
		p.at += end + 2
		return v, nil
	case '"':
		return v, p.readQuoted(v)
	case '(':
		end := strings.Index(p.text[p.at:], "\n)")
		if end < 0 {
			return nil, p.fail("a block is not closed")
		}
		v.text = p.text[p.at+1 : p.at+end]
		p.line += strings.Count(p.text[p.at:p.at+end+2], "\n")
		p.at += end + 2
		return v, nil
	}
	start := p.at
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n,;]}", p.text[p.at]) < 0 {
		if strings.IndexByte(`\'"`, p.text[p.at]) >= 0 {
			return nil, p.fail("a backslash or a quote in a text without quotes is not read")
		}
		p.at++
	}
	if v.text = p.text[start:p.at]; v.text == "" {
		return nil, p.fail("a key without a value")
	}
	if v.text[0] == '$' {
		v.kind = 'v'
	}
	return v, nil
}

func (p *parser) readMapOrArray(v *value) error {
	if v.kind == '{' {
		return p.readMap(v, false)
	}
	for {
		p.skip(",")
		if p.at == len(p.text) {
			return p.fail(errEnd.Error())
		}
		if p.text[p.at] == ']' {
			p.at++
			return nil
		}
		one, err := p.readValue()
		if err != nil {
			return err
		}
		v.all = append(v.all, one)
	}
}

// readQuoted reads a text in quotes with escapes.
func (p *parser) readQuoted(v *value) error {
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		c := p.text[p.at]
		switch {
		case c == '"':
			p.at++
			v.text = b.String()
			return nil
		case c == '\n':
			p.line++
			b.WriteByte(c)
		case c != '\\':
			b.WriteByte(c)
		default:
			p.at++
			if p.at == len(p.text) {
				return p.fail("a quote is not closed")
			}
			escaped := map[byte]string{'t': "\t", 'n': "\n", 'r': "\r", '"': `"`, '\\': `\`}[p.text[p.at]]
			if escaped == "" {
				return p.fail(fmt.Sprintf(`the escape \%c is not read`, p.text[p.at]))
			}
			b.WriteString(escaped)
		}
	}
	return p.fail("a quote is not closed")
}
