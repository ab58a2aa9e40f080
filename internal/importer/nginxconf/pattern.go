package nginxconf

import (
	"errors"
	"regexp"
	"strings"
)

// pattern is a regular expression, as far as it is understood: literal text and sets of
// characters, without alternatives and nested groups.
type pattern struct {
	atStart, atEnd bool
	fold           bool // without regard to case
	pieces         []piece
	names          []string       // of the captures, in their order; "" without a name
	match          *regexp.Regexp // the same, written anew
}

// piece is literal text, or characters of a set.
type piece struct {
	literal string
	set     string // such as [^,]; "" for literal text
	repeat  string // "", +, *, +? or *?
	capture int    // from 1; 0: not captured
}

var errPattern = errors.New("this regular expression is not understood")

// maxPattern bounds the length of a regular expression.
const maxPattern = 4096

// parsePattern reads a regular expression of PCRE.
func parsePattern(text string, fold bool) (*pattern, error) {
	if len(text) > maxPattern {
		return nil, errPattern
	}
	p := &pattern{fold: fold}
	rest := text
	if p.atStart = strings.HasPrefix(rest, "^"); p.atStart {
		rest = rest[1:]
	}
	for rest != "" && rest != "$" {
		var err error
		if rest, err = p.readPiece(rest); err != nil {
			return nil, err
		}
	}
	p.atEnd = rest == "$"
	return p, p.compile(fold)
}

// readPiece reads a character, a set or a group, and returns what follows it.
func (p *pattern) readPiece(text string) (string, error) {
	if text[0] == '(' {
		return p.readGroup(text[1:])
	}
	one, rest, err := readUnit(text)
	if err != nil {
		return "", err
	}
	p.add(one)
	return rest, nil
}

// add adds a piece. Neighbouring literal text becomes one.
func (p *pattern) add(one piece) {
	if n := len(p.pieces); n > 0 && one.set == "" && p.pieces[n-1].set == "" && one.capture == p.pieces[n-1].capture {
		p.pieces[n-1].literal += one.literal
		return
	}
	p.pieces = append(p.pieces, one)
}

// readGroup reads a group with one unit in it.
func (p *pattern) readGroup(text string) (string, error) {
	name, capture := "", true
	for _, prefix := range []string{"?<", "?P<", "?'"} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			end := strings.IndexAny(rest, ">'")
			if end < 1 || !isWord(rest[:end]) {
				return "", errPattern
			}
			name, text = rest[:end], rest[end+1:]
			break
		}
	}
	if rest, ok := strings.CutPrefix(text, "?:"); ok {
		capture, text = false, rest
	}
	if text == "" || strings.ContainsRune("?*+()|", rune(text[0])) {
		return "", errPattern
	}
	number := 0
	if capture {
		p.names = append(p.names, name)
		number = len(p.names)
	}
	for {
		one, rest, err := readUnit(text)
		if err != nil || rest == "" || capture && rest[0] != ')' { // a capture has one unit
			return "", errPattern
		}
		one.capture = number
		p.add(one)
		if text = rest; rest[0] != ')' {
			continue
		}
		if rest = rest[1:]; rest != "" && strings.ContainsRune("?*+{", rune(rest[0])) {
			return "", errPattern
		}
		return rest, nil
	}
}

func isWord(text string) bool {
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// readUnit reads a character or a set with its repetition.
func readUnit(text string) (one piece, rest string, err error) {
	switch c := text[0]; {
	case c == '[':
		end := strings.IndexByte(text[1:], ']')
		if end < 1 {
			return one, "", errPattern
		}
		one.set, rest = text[:end+2], text[end+2:]
		if strings.ContainsAny(one.set[1:len(one.set)-1], `[&~`) || strings.Contains(one.set, `\`) && !plainEscapes(one.set) || one.set == "[^]" {
			return one, "", errPattern
		}
	case c == '.':
		one.set, rest = ".", text[1:]
	case c == '\\' && len(text) > 1:
		next := text[1]
		switch {
		case strings.IndexByte("wds", next) >= 0:
			one.set, rest = text[:2], text[2:]
		case isWord(text[1:2]) || next >= 0x80:
			return one, "", errPattern
		default:
			one.literal, rest = text[1:2], text[2:]
		}
	case strings.IndexByte(`\^$|?*+()]{}`, c) >= 0:
		return one, "", errPattern
	default:
		one.literal, rest = text[:1], text[1:]
	}
	if rest == "" || strings.IndexByte("?*+{", rest[0]) < 0 {
		return one, rest, nil
	}
	if one.set == "" || rest[0] == '?' || rest[0] == '{' {
		return one, "", errPattern
	}
	one.repeat, rest = rest[:1], rest[1:]
	if strings.HasPrefix(rest, "?") {
		one.repeat, rest = one.repeat+"?", rest[1:]
	}
	if rest != "" && strings.IndexByte("?*+{", rest[0]) >= 0 {
		return one, "", errPattern
	}
	return one, rest, nil
}

// plainEscapes reports whether a set has no other escapes than those of punctuation.
func plainEscapes(set string) bool {
	for i := 0; i < len(set); i++ {
		if set[i] != '\\' {
			continue
		}
		if i++; i == len(set)-1 || isWord(set[i:i+1]) {
			return false
		}
	}
	return true
}

// compile writes the pattern anew for package regexp, which needs time in proportion to the text.
func (p *pattern) compile(fold bool) (err error) {
	var b strings.Builder
	if b.WriteString("(?s"); fold {
		b.WriteString("i")
	}
	b.WriteString(")")
	if p.atStart {
		b.WriteString(`\A`)
	}
	for _, one := range p.pieces {
		text := one.set + one.repeat
		if one.set == "" {
			text = regexp.QuoteMeta(one.literal)
		}
		if one.capture > 0 {
			text = "(" + text + ")"
		}
		b.WriteString(text)
	}
	if p.atEnd {
		b.WriteString(`\z`)
	}
	if p.match, err = regexp.Compile(b.String()); err != nil {
		return errPattern
	}
	return nil
}
