package mtlsguard

import (
	"crypto/x509"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/site"
)

// LintOptions are the settings of Lint. The zero value is valid.
type LintOptions struct {
	// Within is how early Lint reports that a certificate, CRL or mapping ends. 0 means 30
	// days, but at most a fifth of a certificate's lifetime and a tenth of a CRL's.
	Within time.Duration
	// Now is the clock. nil means time.Now.
	Now func() time.Time
	// Certificates are client certificates. Lint uses them to find mappings by
	// fingerprint, spki or serial whose certificate ends soon.
	Certificates []*x509.Certificate
	// Options are those that the program passes to Open. Lint uses what replaces keys of the
	// file: Map, Policy and Certificates. It reports that it does not check them.
	Options Options
}

// Lint reads a configuration as Open does, and reports settings that are valid and probably
// not intended, ordered by file and line. The error joins the configuration errors.
func Lint(path string, o LintOptions) ([]configerror.Finding, error) {
	return site.Lint(path, site.LintOptions{Within: o.Within, Now: o.Now, Certificates: o.Certificates, Program: o.Options.program()})
}
