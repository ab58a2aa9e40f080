// Package regex reads the regular expressions of other programs, as far as what they match can be determined
// exactly. They are written anew: none runs as it is.
package regex

import (
	"errors"
	"regexp"
	"strings"
)

// Pattern is a regular expression, as far as it is understood: literal text and sets of
// characters, without alternatives and nested groups.
type Pattern struct {
	AtStart, AtEnd bool
	Fold           bool // without regard to case
	Pieces         []Piece
	Names          []string       // of the captures, in their order; "" without a name
	Match          *regexp.Regexp // the same, written anew
}

// Piece is literal text, or characters of a set.
type Piece struct {
	Literal string
	Set     string // such as [^,]; "" for literal text
	Repeat  string // "", +, *, +? or *?
	Capture int    // from 1; 0: not captured
}

var errPattern = errors.New("this regular expression is not understood")

// maxPattern bounds the length of a regular expression.
const maxPattern = 4096

// Parse reads a regular expression in the syntax that PCRE and PostgreSQL have in common, and named
// captures of PCRE.
func Parse(text string, fold bool) (*Pattern, error) {
	if len(text) > maxPattern {
		return nil, errPattern
	}
	p := &Pattern{Fold: fold}
	rest := text
	if p.AtStart = strings.HasPrefix(rest, "^"); p.AtStart {
		rest = rest[1:]
	}
	for rest != "" && rest != "$" {
		var err error
		if rest, err = p.readPiece(rest); err != nil {
			return nil, err
		}
	}
	p.AtEnd = rest == "$"
	if err := p.compile(fold); err != nil {
		return nil, err
	}
	return p, nil
}

// readPiece reads a character, a set or a group, and returns what follows it.
func (p *Pattern) readPiece(text string) (string, error) {
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
func (p *Pattern) add(one Piece) {
	if n := len(p.Pieces); n > 0 && one.Set == "" && p.Pieces[n-1].Set == "" && one.Capture == p.Pieces[n-1].Capture {
		p.Pieces[n-1].Literal += one.Literal
		return
	}
	p.Pieces = append(p.Pieces, one)
}

// readGroup reads a group with one unit in it.
func (p *Pattern) readGroup(text string) (string, error) {
	name, capture := "", true
	for _, prefix := range []string{"?<", "?P<", "?'"} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			end := strings.IndexAny(rest, ">'")
			if end < 1 || !IsWord(rest[:end]) {
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
		p.Names = append(p.Names, name)
		number = len(p.Names)
	}
	for {
		one, rest, err := readUnit(text)
		if err != nil || rest == "" || capture && rest[0] != ')' { // a capture has one unit
			return "", errPattern
		}
		one.Capture = number
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

// IsWord reports whether a text has no other characters than letters, digits and _ of ASCII.
func IsWord(text string) bool {
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// readUnit reads a character or a set with its repetition.
func readUnit(text string) (one Piece, rest string, err error) {
	switch c := text[0]; {
	case c == '[':
		end := strings.IndexByte(text[1:], ']')
		if end < 1 {
			return one, "", errPattern
		}
		one.Set, rest = text[:end+2], text[end+2:]
		if strings.ContainsAny(one.Set[1:len(one.Set)-1], `[&~`) || strings.Contains(one.Set, `\`) && !plainEscapes(one.Set) || one.Set == "[^]" {
			return one, "", errPattern
		}
	case c == '.':
		one.Set, rest = ".", text[1:]
	case c == '\\' && len(text) > 1:
		next := text[1]
		switch {
		case strings.IndexByte("wds", next) >= 0:
			one.Set, rest = text[:2], text[2:]
		case IsWord(text[1:2]) || next >= 0x80:
			return one, "", errPattern
		default:
			one.Literal, rest = text[1:2], text[2:]
		}
	case strings.IndexByte(`\^$|?*+()]{}`, c) >= 0:
		return one, "", errPattern
	default:
		one.Literal, rest = text[:1], text[1:]
	}
	if rest == "" || strings.IndexByte("?*+{", rest[0]) < 0 {
		return one, rest, nil
	}
	if one.Set == "" || rest[0] == '?' || rest[0] == '{' {
		return one, "", errPattern
	}
	one.Repeat, rest = rest[:1], rest[1:]
	if strings.HasPrefix(rest, "?") {
		one.Repeat, rest = one.Repeat+"?", rest[1:]
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
		if i++; i == len(set)-1 || IsWord(set[i:i+1]) {
			return false
		}
	}
	return true
}

// compile writes the pattern anew for package regexp, which needs time in proportion to the text.
func (p *Pattern) compile(fold bool) (err error) {
	var b strings.Builder
	if b.WriteString("(?s"); fold {
		b.WriteString("i")
	}
	b.WriteString(")")
	if p.AtStart {
		b.WriteString(`\A`)
	}
	for _, one := range p.Pieces {
		text := one.Set + one.Repeat
		if one.Set == "" {
			text = regexp.QuoteMeta(one.Literal)
		}
		if one.Capture > 0 {
			text = "(" + text + ")"
		}
		b.WriteString(text)
	}
	if p.AtEnd {
		b.WriteString(`\z`)
	}
	if p.Match, err = regexp.Compile(b.String()); err != nil {
		return errPattern
	}
	return nil
}
