package site

import (
	"crypto/x509"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
)

const soon = 30 * 24 * time.Hour

// span is the lifetime of something that has to be replaced in time.
type span struct {
	end  time.Time
	soon time.Duration // how early the end is reported, at most
}

// certificateSpan returns the lifetime of a certificate. The last fifth counts as soon:
// renewal usually begins with a third left, so that nothing is reported if it works.
func certificateSpan(c *x509.Certificate) span {
	return span{c.NotAfter, c.NotAfter.Sub(c.NotBefore) / 5}
}

// crlSpan returns the lifetime of a CRL. The last tenth counts as soon: many authorities
// issue the next list shortly before the next update.
func crlSpan(issued, until time.Time) span { return span{until, until.Sub(issued) / 10} }

// ends reports an end that has come or comes soon: within the time of the options, or
// without one within 30 days, and less for what lives shortly.
func (x *linter) ends(about string, at configerror.Error, what string, s span, hint string) {
	within := x.o.Within
	if within == 0 {
		within = min(soon, s.soon)
	}
	end := s.end
	switch text := end.UTC().Format(time.RFC3339); {
	case x.now.After(end):
		x.report(about, at, what+" expired at "+text, hint)
	case x.now.Add(within).After(end):
		x.report(about, at, what+" expires at "+text, hint)
	}
}
