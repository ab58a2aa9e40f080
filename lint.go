package mtlsguard

import (
	"crypto/x509"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/site"
)

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
func Lint(path string, o LintOptions) ([]configerror.Finding, error) {
	return site.Lint(path, site.LintOptions(o))
}
