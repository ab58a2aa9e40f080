package certmap

import (
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/trust"
)

// reader reads one file of mappings, or a part of one, and adds what it finds to a builder or
// to a collector.
type reader struct {
	*settings
	file     string
	doc      strictyaml.Doc
	report   *report
	to       sink
	reported map[string]bool         // files of issuers whose error is reported
	plain    plainLine               // used again for each line
	used     map[string]trust.Digest // if not nil, gets the keys of the issuers that are named by file
}

// sink gets the mappings of a file.
type sink interface {
	add(at *origin, m *Mapping)         // adds a mapping, or reports its errors
	addPlain(m *Mapping) bool           // adds a mapping that is correct by itself, or returns false
	claimID(at *origin, id string) bool // reports an id that another mapping has, and returns false then
	addWrong(at *origin, id string)     // notes the id of a mapping with reported errors
}

func (s *settings) reader(file string, r *report, to sink) *reader {
	return &reader{
		settings: s, file: file, doc: strictyaml.Doc{File: file, Wrong: &r.List}, report: r, to: to, reported: map[string]bool{},
	}
}

// readMapping reads one mapping, the number counted from 1.
func (l *reader) readMapping(number int, node *yaml.Node) {
	e := mappingReader{reader: l, at: origin{file: l.file, line: node.Line, number: number}}
	if node.Kind != yaml.MappingNode {
		l.doc.Say(node, e.at.label()+" is not a map", "- {id: …, user: …, …}")
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if id := node.Content[i+1]; node.Content[i].Value == "id" && id.Kind == yaml.ScalarNode {
			e.at.id = id.Value // before anything else, because every error names the mapping by it
			break
		}
	}
	e.m = Mapping{File: l.file, Line: node.Line}
	e.label = e.at.label() // once, and not for each field: 55 allocations a mapping in place of 63
	before := l.report.Len()
	values := l.doc.Map(node, e.label, fieldNames[fieldID:]...)
	for f := fieldID; f < fieldCount; f++ {
		if value := values[fieldNames[f]]; value != nil {
			e.at.fields[f] = position{value.Line, value.Column}
			e.readField(f, value)
		}
	}
	if what, hint := checkDomain(e.domain, &e.m); what != "" {
		e.doc.Say(values[fieldNames[fieldIssuer]], e.label+": issuer: "+what, hint)
	}
	if l.report.Len() == before && !e.wrong[fieldIssuer] { // an issuer may be wrong whose error is reported already
		l.to.add(&e.at, &e.m)
		return
	}
	id := e.m.ID
	e.fillWrongFields()
	compile(l.report, &e.at, &e.m)
	if id != "" && l.to.claimID(&e.at, id) {
		l.to.addWrong(&e.at, id)
	}
}

// mappingReader reads the fields of one mapping.
type mappingReader struct {
	*reader
	at    origin
	label string // at.label()
	m     Mapping
	wrong [fieldCount]bool // written, and not usable

	domain string // the trust domain that the issuer names; "": it is one authority
}

// readField reads a field, and marks it as wrong if there is an error.
func (e *mappingReader) readField(f field, value *yaml.Node) {
	before := e.report.Len()
	name := e.label + ": " + fieldNames[f]
	switch f {
	case fieldPorts:
		e.readPorts(name, value)
	case fieldDisabled:
		e.m.Disabled = e.doc.Bool(value, name, false)
	default:
		text := e.doc.Text(value, name)
		switch {
		case e.report.Len() > before:
		case text == "":
			e.doc.Say(value, name+" is empty", "leave it out, or give it a value")
		case f == fieldIssuer:
			e.m.Issuer = e.issuerKey(value, name)
		default:
			e.readText(f, name, value)
		}
	}
	if e.report.Len() > before {
		e.wrong[f] = true
	}
}

// readText reads a field of one text.
func (e *mappingReader) readText(f field, name string, value *yaml.Node) {
	m, text := &e.m, value.Value
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
		m.Fingerprint, err = parseDigest(text)
	case fieldSPKI:
		hint = "the SHA-256 of the public key in DER"
		m.SPKI, err = parseDigest(text)
	case fieldSerial:
		hint = "openssl x509 -noout -serial"
		m.Serial, err = parseSerial(text)
	case fieldNotBefore:
		hint = dateHint
		m.NotBefore, err = parseDate(text)
	case fieldNotAfter:
		hint = dateHint
		m.NotAfter, err = parseDate(text)
	}
	if err != nil {
		e.doc.Say(value, name+": "+escape.Quote(text, escape.Short)+" is "+err.Error(), hint)
	}
}

// fillWrongFields gives usable values to the wrong fields, so that compile reports the
// other errors of the mapping and no error twice.
func (e *mappingReader) fillWrongFields() {
	m, sample := &e.m, trust.Digest{1}
	for f, wrong := range e.wrong {
		if !wrong {
			continue
		}
		switch field(f) {
		case fieldID:
			m.ID = "x"
		case fieldUser:
			m.User = "x"
		case fieldFingerprint:
			m.Fingerprint = sample
		case fieldSPKI:
			m.SPKI = sample
		case fieldSerial:
			m.Serial, _ = parseSerial("1")
		case fieldIssuer:
			m.Issuer = sample
		case fieldURI:
			m.URI = "x:/" + username.Variable
		case fieldDNS:
			m.DNS = "x"
		case fieldEmail:
			m.Email = "x@x"
		case fieldSubject:
			m.Subject = "CN=" + username.Variable
		}
	}
}

// readPorts reads ports. An empty list is an error, because it could mean all or none.
func (e *mappingReader) readPorts(name string, value *yaml.Node) {
	const hint = "ports: [NAME], or leave it out for every port"
	before := e.report.Len()
	nodes := e.doc.List(value, name)
	switch {
	case e.report.Len() > before:
		return
	case len(nodes) == 0:
		e.doc.Say(value, name+" is an empty list", hint)
	case len(nodes) > maxPorts:
		e.doc.Say(value, fmt.Sprintf("%s has more than %d entries", name, maxPorts), hint)
		return
	}
	for _, n := range nodes {
		before := e.report.Len()
		port := e.doc.Text(n, name)
		if e.report.Len() == before && e.ports != nil && !e.ports[port] {
			e.doc.Say(n, name+": there is no port "+escape.Quote(port, escape.Short), "use the name of a port in mtlsguard.yaml")
		}
		e.m.Ports = append(e.m.Ports, port)
	}
}

func parseDigest(text string) (trust.Digest, error) {
	d, err := trust.ParseDigest(text)
	if err == nil && d.IsZero() {
		return d, errZeroDigest
	}
	return d, err
}

var errZeroDigest = errors.New("no certificate's: it is all zeros")

const dateHint = "2026-12-31T23:59:59Z, or 2026-12-31 for that day's first instant in UTC"

// parseDate reads a time of RFC 3339, or a date alone, which means 00:00 UTC.
func parseDate(text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		err = t.UnmarshalText([]byte(text)) // stricter than time.Parse
	}
	if err != nil || t.IsZero() {
		return time.Time{}, errDate
	}
	return t, nil
}

var errDate = errors.New("not a date of RFC 3339")
