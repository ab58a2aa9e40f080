package certmap

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/trust"
)

// entry reads one mapping, the number from 1, and adds it to the table.
func (r *reader) entry(number int, node *yaml.Node) {
	s := source{file: r.file, line: node.Line, number: number}
	node = follow(node)
	if node.Kind != yaml.MappingNode || badTag(node) {
		r.b.report.add(s.mistake(fieldNone, "this is "+shape(node), "a mapping is a map: {id: …, user: …, …}"))
		return
	}
	e := entryReader{reader: r, s: &s, m: Mapping{File: r.file, Line: s.line}}
	s.id = scalarOf(node, "id")
	for i := 0; i+1 < len(node.Content); i += 2 {
		e.field(node.Content[i], node.Content[i+1])
	}
	if !e.spoilt {
		r.b.add(&s, &e.m)
		return
	}
	id := e.m.ID
	e.fillIn()
	compile(&r.b.report, &s, &e.m)
	if id != "" && r.b.claim(&s, id) {
		r.b.spoil(id, s.line)
	}
}

// scalarOf finds the text of a key, for labels.
func scalarOf(node *yaml.Node, key string) string {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return follow(node.Content[i+1]).Value
		}
	}
	return ""
}

// entryReader reads the fields of one mapping.
type entryReader struct {
	*reader
	s      *source
	m      Mapping
	bad    [fields]bool // written, and wrong
	spoilt bool         // anything was wrong
}

func (e *entryReader) wrong(f field, what, hint string) {
	e.b.report.add(e.s.mistake(f, what, hint))
	e.bad[f], e.spoilt = true, true
}

// fillIn puts something sound in the place of what was wrong and told, so that
// what is wrong besides can be found without telling the same twice.
func (e *entryReader) fillIn() {
	m, sound := &e.m, trust.Digest{1}
	for f, bad := range e.bad {
		if !bad {
			continue
		}
		switch field(f) {
		case fieldID:
			m.ID = "x"
		case fieldUser:
			m.User = "x"
		case fieldFingerprint:
			m.Fingerprint = sound
		case fieldSPKI:
			m.SPKI = sound
		case fieldSerial:
			m.Serial, _ = ParseSerial("1")
		case fieldIssuer:
			m.Issuer = sound
		case fieldURI:
			m.URI = "x:/" + UserVariable
		case fieldDNS:
			m.DNS = "x"
		case fieldEmail:
			m.Email = "x@x"
		case fieldSubject:
			m.Subject = "CN=" + UserVariable
		}
	}
}

func (e *entryReader) field(key, value *yaml.Node) {
	f := fieldNone
	if key.Kind == yaml.ScalarNode {
		f = fieldNamed(key.Value)
	}
	if f == fieldNone {
		hint := "known are " + strings.Join(fieldNames[1:], ", ")
		if key.Value == "<<" {
			hint = "merge keys are not followed: write each mapping out"
		}
		m := e.s.mistake(fieldNone, "unknown key "+escape.Quote(key.Value, escape.Short), hint)
		m.Line = key.Line
		e.b.report.add(m)
		e.spoilt = true
		return
	}
	if e.s.lines[f] != 0 {
		m := e.s.mistake(f, fieldNames[f]+" twice", "one of them is not meant")
		m.Line = key.Line
		e.b.report.add(m)
		e.spoilt = true
		return
	}
	e.s.lines[f] = value.Line
	value = follow(value)
	if f == fieldPorts {
		e.portList(value)
		return
	}
	if value.Kind != yaml.ScalarNode || isNull(value) || badTag(value) {
		e.wrong(f, fieldNames[f]+" is "+shape(value), "a text is wanted, or leave "+fieldNames[f]+" out")
		return
	}
	if value.Value == "" {
		e.wrong(f, fieldNames[f]+" is empty", "leave it out, or say what it is")
		return
	}
	e.text(f, value)
}

// badTag reports whether somebody wrote a tag: values are taken as they stand.
func badTag(n *yaml.Node) bool { return n.Style&yaml.TaggedStyle != 0 }

func fieldNamed(name string) field {
	for f := fieldID; f < fields; f++ {
		if fieldNames[f] == name {
			return f
		}
	}
	return fieldNone
}

// text reads a field of one text.
func (e *entryReader) text(f field, node *yaml.Node) {
	m, text := &e.m, node.Value
	var err error
	hint := ""
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
		hint = "openssl x509 -noout -fingerprint -sha256"
		m.Fingerprint, err = digest(text)
	case fieldSPKI:
		hint = "the SHA-256 of the public key in DER"
		m.SPKI, err = digest(text)
	case fieldSerial:
		hint = "openssl x509 -noout -serial"
		m.Serial, err = ParseSerial(text)
	case fieldIssuer:
		hint = "a file of the CA certificate, or the SHA-256 of its public key"
		if m.Issuer, err = e.issuerOf(text); errors.Is(err, errTold) {
			e.bad[f], e.spoilt = true, true
			return
		}
	case fieldNotBefore:
		hint = dateHint
		m.NotBefore, err = parseDate(text)
	case fieldNotAfter:
		hint = dateHint
		m.NotAfter, err = parseDate(text)
	case fieldDisabled:
		m.Disabled = text == "true"
		if node.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 || text != "true" && text != "false" {
			hint, err = "true or false, without quotes", errors.New(escape.Quote(text, escape.Short))
		}
	}
	if err != nil {
		e.wrong(f, fieldNames[f]+": "+err.Error(), hint)
	}
}

func digest(text string) (trust.Digest, error) {
	d, err := trust.ParseDigest(text)
	if err == nil && d.IsZero() {
		return d, errZeroDigest
	}
	return d, err
}

const dateHint = "2026-12-31T23:59:59Z, or 2026-12-31 for that day's first instant in UTC"

// parseDate reads RFC 3339, or a date alone, which is 00:00 UTC.
func parseDate(text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		err = t.UnmarshalText([]byte(text)) // stricter than time.Parse
	}
	if err != nil || t.IsZero() {
		return time.Time{}, errors.New(escape.Quote(text, escape.Short) + " is no date of RFC 3339")
	}
	return t, nil
}

// portList reads ports. An empty list could mean all or none, so it means nothing.
func (e *entryReader) portList(node *yaml.Node) {
	const hint = "ports: [NAME], or leave it out for every port"
	if node.Kind != yaml.SequenceNode || badTag(node) {
		e.wrong(fieldPorts, "ports is "+shape(node), hint)
		return
	}
	if len(node.Content) == 0 {
		e.wrong(fieldPorts, "ports is an empty list", hint)
		return
	}
	if len(node.Content) > maxPorts {
		e.wrong(fieldPorts, fmt.Sprintf("more than %d ports", maxPorts), hint)
		return
	}
	for _, n := range node.Content {
		line := n.Line
		if n = follow(n); n.Kind != yaml.ScalarNode || isNull(n) || badTag(n) {
			e.wrong(fieldPorts, "a port is "+shape(n), hint)
			continue
		}
		if e.ports != nil && !e.ports[n.Value] {
			m := e.s.mistake(fieldPorts, "there is no port "+escape.Quote(n.Value, escape.Short), "ports are named in mtlsguard.yaml")
			m.Line = line
			e.b.report.add(m)
			e.bad[fieldPorts], e.spoilt = true, true
			continue
		}
		e.m.Ports = append(e.m.Ports, n.Value)
	}
}
