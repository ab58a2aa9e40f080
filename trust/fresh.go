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

// FreshUntil is the earliest next update of the CRLs that are needed, or zero where
// none is: after it, Hard refuses.
func (v *Verifier) FreshUntil() time.Time {
	var first time.Time
	if v.revocation != Hard {
		return first
	}
	for _, lists := range v.crls {
		for _, l := range lists {
			if first.IsZero() || l.until.Before(first) {
				first = l.until
			}
		}
	}
	return first
}

// Aging names the CRLs that have lived more than half of their time without being
// replaced: whoever should bring the next one may have stopped.
func (v *Verifier) Aging() []string {
	var out []string
	now := v.now()
	for _, lists := range v.crls {
		for _, l := range lists {
			if half := l.until.Sub(l.list.ThisUpdate) / 2; now.Sub(l.list.ThisUpdate) > half {
				out = append(out, fmt.Sprintf("the CRL of %s is to be replaced by %s", quote(l.list.Issuer.String()), l.until.UTC().Format(time.RFC3339)))
			}
		}
	}
	slices.Sort(out)
	return out
}
