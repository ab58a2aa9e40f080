package certmap

import (
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/trust"
)

// mappingReader reads the fields of one mapping.
type mappingReader struct {
	*loader
	at    origin
	m     Mapping
	wrong [fieldCount]bool // written, and not usable
}

// readField reads a field, and marks it as wrong if there is an error.
func (e *mappingReader) readField(f field, value *yaml.Node) {
	before := e.report.Len()
	name := e.at.label() + ": " + fieldNames[f]
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
