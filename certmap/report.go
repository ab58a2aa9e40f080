package certmap

import (
	"fmt"
	"strconv"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// maxMistakes is how many mistakes are told: who has a hundred looks for the one
// behind them.
const maxMistakes = 100

// report collects mistakes.
type report struct {
	list errorlist.List
	more *configerror.Error // the first that was not told
}

func (r *report) add(m configerror.Error) {
	switch {
	case r.list.Len() < maxMistakes:
		r.list.Add(m)
	case r.more == nil:
		r.more = &m
	}
}

// full reports whether looking for more mistakes is of no use.
func (r *report) full() bool { return r.more != nil }

func (r *report) err() error {
	if r.more != nil {
		r.list.Add(configerror.Error{
			File: r.more.File, Line: r.more.Line,
			What: fmt.Sprintf("there are more than %d mistakes; the first are shown", maxMistakes),
		})
		r.more = nil
	}
	return r.list.Err()
}

// field is a key of a mapping in users.yaml.
type field int

const (
	fieldNone field = iota // the mapping as a whole
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
	fields
)

var fieldNames = [fields]string{
	fieldID: "id", fieldUser: "user", fieldFingerprint: "fingerprint", fieldSPKI: "spki",
	fieldSerial: "serial", fieldIssuer: "issuer", fieldURI: "uri", fieldDNS: "dns",
	fieldEmail: "email", fieldSubject: "subject", fieldPorts: "ports",
	fieldNotBefore: "not_before", fieldNotAfter: "not_after", fieldDisabled: "disabled",
}

// source is where a mapping comes from.
type source struct {
	file   string
	line   int
	id     string
	number int         // from 1, for one without an id
	lines  [fields]int // of each field that was written; 0: that of the mapping
}

func (s *source) mistake(f field, what, hint string) configerror.Error {
	line := s.line
	if s.lines[f] > 0 {
		line = s.lines[f]
	}
	label := "mapping " + escape.Quote(s.id, escape.Short)
	if s.id == "" && s.number > 0 {
		label = "mapping " + strconv.Itoa(s.number)
	}
	return configerror.Error{File: s.file, Line: line, What: label + ": " + what, Hint: hint}
}
