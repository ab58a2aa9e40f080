package mtlsguard

import (
	"crypto/x509"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"time"
)

// Finding is something that loads and is probably not meant.
type Finding struct {
	About string // users, policy, trust or ports
	File  string
	Line  int // from 1; 0 where a line means nothing
	What  string
	Hint  string
}

// String returns "file:line: what (hint)", as mistakes are printed.
func (f Finding) String() string {
	return (&Mistake{File: f.File, Line: f.Line, What: f.What, Hint: f.Hint}).Error()
}

// LintOptions are what Lint looks by.
type LintOptions struct {
	// Within is how far ahead an end is soon; 0 is 30 days.
	Within time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Certificates are clients' certificates that somebody keeps. A mapping by
	// fingerprint, spki or serial is found out to be for one that expires.
	Certificates []*x509.Certificate
}

// Lint reads a configuration as Open does, and returns what loads and is probably
// wrong, ordered by file and line. Mistakes are the error.
func Lint(path string, o LintOptions) ([]Finding, error) {
	all, err := site.Lint(path, site.LintOptions(o))
	var out []Finding
	for _, f := range all {
		out = append(out, Finding(f))
	}
	return out, err
}
