package certmap

import (
	"fmt"
	"strconv"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// maxErrors is how many errors are reported. A file with more of them has one cause.
const maxErrors = 100

// report collects configuration errors.
type report struct{ errorlist.List }

// full reports whether looking for more errors is of no use.
func (r *report) full() bool { return r.Len() > maxErrors }

// err returns the errors, joined: the first hundred, and one that there are more.
func (r *report) err() error {
	err := r.Err()
	all := configerror.All(err)
	if len(all) <= maxErrors {
		return err
	}
	var first errorlist.List
	for _, e := range all[:maxErrors] {
		first.Add(*e)
	}
	next := all[maxErrors]
	first.Add(configerror.Error{
		File: next.File, Line: next.Line, Column: next.Column,
		What: fmt.Sprintf("there are more than %d errors; the first are shown", maxErrors),
	})
	return first.Err()
}

// field is a key of a mapping in users.yaml.
type field int

const (
	noField field = iota // the mapping as a whole
	fieldID
	fieldUser
	fieldFingerprint
	fieldSPKI
	fieldSerial
	fieldIssuer
	fieldURI
	fieldDNS
	fieldEmail
	fieldSubject
	fieldPorts
	fieldNotBefore
	fieldNotAfter
	fieldDisabled
	fieldCount
)

var fieldNames = [fieldCount]string{
	fieldID: "id", fieldUser: "user", fieldFingerprint: "fingerprint", fieldSPKI: "spki",
	fieldSerial: "serial", fieldIssuer: "issuer", fieldURI: "uri", fieldDNS: "dns",
	fieldEmail: "email", fieldSubject: "subject", fieldPorts: "ports",
	fieldNotBefore: "not_before", fieldNotAfter: "not_after", fieldDisabled: "disabled",
}

// position is a line and a column, from 1; 0 means unknown.
type position struct{ line, column int }

// origin is where a mapping was written.
type origin struct {
	file   string
	line   int
	id     string
	number int                  // from 1, for a mapping without an id
	fields [fieldCount]position // of the value of each field; 0: only the line is known
}

// label returns the name of the mapping in errors.
func (o *origin) label() string {
	if o.id == "" && o.number > 0 {
		return "mapping " + strconv.Itoa(o.number)
	}
	return "mapping " + escape.Quote(o.id, escape.Short)
}

// err returns a configuration error about a field of the mapping.
func (o *origin) err(f field, what, hint string) configerror.Error {
	at := o.fields[f]
	if at.line == 0 {
		at = position{line: o.line}
	}
	return configerror.Error{File: o.file, Line: at.line, Column: at.column, What: o.label() + ": " + what, Hint: hint}
}
