package certmap

import (
	"strings"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/trust"
)

// readPlainLine reads a line of the form that programs write: every value a text without
// escapes, a list of such texts or a boolean. It returns false, and has done nothing, for a
// line of any other form and for a line with an error. readLine and readMapping then read it;
// they decide what a line means, and the fuzz test compares. A plain line takes 0.7 µs here,
// and 9 µs there.
func (l *reader) readPlainLine(line []byte, number int) bool {
	text := string(line)
	if !isPlain(text) {
		return false
	}
	p := &l.plain
	*p = plainLine{reader: l, rest: text[1:], m: Mapping{File: l.file, Line: number}}
	for p.readField() {
		if p.skip(',') {
			continue
		}
		if p.skip('}') && p.rest == "" {
			return l.to.addPlain(&p.m)
		}
		break
	}
	return false
}

// isPlain reports whether a line may be an object whose quotes all begin or end a text.
func isPlain(text string) bool {
	high := byte(0)
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c == '\\' {
			return false
		}
		high |= c
	}
	return text[0] == '{' && (high < utf8.RuneSelf || utf8.ValidString(text))
}

// plainLine is what is left to read of a line, and what was read.
type plainLine struct {
	*reader
	rest string
	seen uint
	m    Mapping
}

// skip skips blanks and the byte c, and returns false if another byte is there.
func (p *plainLine) skip(c byte) bool {
	p.rest = strings.TrimLeft(p.rest, " ")
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// text reads a text, which is not empty: an empty value is an error for any key.
func (p *plainLine) text() (string, bool) {
	if !p.skip('"') {
		return "", false
	}
	end := strings.IndexByte(p.rest, '"')
	if end <= 0 {
		return "", false
	}
	text := p.rest[:end]
	p.rest = p.rest[end+1:]
	return text, true
}

// readField reads a key and its value.
func (p *plainLine) readField() bool {
	key, ok := p.text()
	if !ok || !p.skip(':') {
		return false
	}
	f := fieldOf(key)
	if f == noField || p.seen&(1<<f) != 0 {
		return false
	}
	p.seen |= 1 << f
	switch f {
	case fieldDisabled:
		return p.readBool()
	case fieldPorts:
		return p.readPorts()
	}
	text, ok := p.text()
	return ok && p.setText(f, text)
}

func fieldOf(key string) field {
	for f := fieldID; f < fieldCount; f++ {
		if fieldNames[f] == key {
			return f
		}
	}
	return noField
}

func (p *plainLine) readBool() bool {
	p.rest = strings.TrimLeft(p.rest, " ")
	after, isTrue := strings.CutPrefix(p.rest, "true")
	if !isTrue {
		var isFalse bool
		if after, isFalse = strings.CutPrefix(p.rest, "false"); !isFalse {
			return false
		}
	}
	p.rest, p.m.Disabled = after, isTrue
	return true
}

func (p *plainLine) readPorts() bool {
	if !p.skip('[') {
		return false
	}
	for {
		port, ok := p.text()
		if !ok || p.ports != nil && !p.ports[port] || len(p.m.Ports) == maxPorts {
			return false
		}
		p.m.Ports = append(p.m.Ports, port)
		if !p.skip(',') {
			return p.skip(']')
		}
	}
}

func (p *plainLine) setText(f field, text string) bool {
	m := &p.m
	var err error
	switch f {
	case fieldID:
		m.ID = text
	case fieldUser:
		m.User = text
	case fieldURI:
		m.URI = text
	case fieldDNS:
		m.DNS = text
	case fieldEmail:
		m.Email = text
	case fieldSubject:
		m.Subject = text
	case fieldFingerprint:
		m.Fingerprint, err = parseDigest(text)
	case fieldSPKI:
		m.SPKI, err = parseDigest(text)
	case fieldSerial:
		m.Serial, err = parseSerial(text)
	case fieldNotBefore:
		m.NotBefore, err = parseDate(text)
	case fieldNotAfter:
		m.NotAfter, err = parseDate(text)
	case fieldIssuer:
		m.Issuer, err = p.plainIssuer(text)
	}
	return err == nil
}

func (p *plainLine) plainIssuer(text string) (trust.Digest, error) {
	if looksLikeDigest(text) {
		return parseDigest(text)
	}
	return p.fileKey(text)
}
