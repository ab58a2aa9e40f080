package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/mistake"
)

// checkRevoked is the self-test of the CRLs.
func (v *Verifier) checkRevoked(wrong *mistake.List, all []*x509.Certificate) {
	for _, c := range all {
		if v.revocation != Off && slices.ContainsFunc(v.crls[string(c.RawIssuer)], func(l *crl) bool { return l.revokes(c.SerialNumber) }) {
			continue
		}
		wrong.Add(mistake.Mistake{
			What: fmt.Sprintf("the certificate %s, serial %X, must be revoked and is not", quote(c.Subject.String()), c.SerialNumber),
			Hint: "take the newest CRL of its issuer, and see that revocation is not off",
		})
	}
}

// newest returns the lists in force: of each issuer, key and scope the newest.
func (v *Verifier) newest() []*crl {
	var out []*crl
	for _, lists := range v.crls {
		for _, l := range lists {
			if !slices.ContainsFunc(lists, func(other *crl) bool { return l.sameSeries(other) && Older(l.list, other.list) }) {
				out = append(out, l)
			}
		}
	}
	return out
}

// FreshUntil is the earliest next update of the CRLs that are needed, or zero where
// none is: after it, Hard refuses.
func (v *Verifier) FreshUntil() time.Time {
	var first time.Time
	if v.revocation != Hard {
		return first
	}
	for _, l := range v.newest() {
		if first.IsZero() || l.until.Before(first) {
			first = l.until
		}
	}
	return first
}

// Aging names the CRLs that have lived more than half of their time without being
// replaced: whoever should bring the next one may have stopped.
func (v *Verifier) Aging() []string {
	if v.revocation == Off {
		return nil
	}
	var out []string
	now := v.now()
	for _, l := range v.newest() {
		if half := l.until.Sub(l.list.ThisUpdate) / 2; now.Sub(l.list.ThisUpdate) > half {
			out = append(out, fmt.Sprintf("the CRL of %s is to be replaced by %s", quote(l.list.Issuer.String()), l.until.UTC().Format(time.RFC3339)))
		}
	}
	slices.Sort(out)
	return out
}
