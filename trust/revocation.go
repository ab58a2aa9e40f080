package trust

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/reason"
)

// retryAfter is the time after which an unknown status is queried again, if the Responder
// returns no time.
const retryAfter = 30 * time.Second

// checkRevocation checks every certificate of a chain but its anchor with the CRLs, and then
// with the Responder. An anchor is revoked by removing it, or by the CRL of a configured
// authority that issued it; it needs no CRL to be trusted. The returned time is the end of
// the information. The error is errUndecided if the Responder must be called and wait is
// false.
func (v *Verifier) checkRevocation(ctx context.Context, chain []*x509.Certificate, now, until time.Time, wait bool) (time.Time, error) {
	var unknown error
	anchor := v.anchorName(chain[len(chain)-1])
	if last := chain[len(chain)-1]; len(v.revokedAnchors) > 0 && v.revokedAnchors[FingerprintOf(last)] {
		return until, reason.Refuse(reason.Revoked, "its anchor "+quoteName(&last.Subject)+" is revoked")
	}
	undecided := false
	for i, c := range chain[:len(chain)-1] {
		revoked, why, end := v.crlStatus(c, chain[i+1], anchor, now)
		if !revoked && why != "" && v.responder != nil {
			var decided bool
			if revoked, why, end, decided = v.queryResponder(ctx, c, chain[i+1], why, wait); !decided {
				undecided = true
				continue // another certificate of the chain may be known to be revoked
			}
			if why != "" && !end.After(now) {
				end = now.Add(retryAfter)
			}
		}
		if revoked {
			return until, reason.Refuse(reason.Revoked, "revoked by its issuer "+quoteName(&c.Issuer))
		}
		// In the mode soft an unknown status is accepted and queried again at end. Without a
		// Responder, no more can become known in this generation.
		if v.revocation == RevocationHard || v.responder != nil {
			if end.Before(until) {
				until = end
			}
		}
		if why != "" && v.revocation == RevocationHard && unknown == nil {
			unknown = reason.Refuse(reason.RevocationUnknown, why) // an authority further up may be revoked, which is the better reason
		}
	}
	if undecided {
		return until, errUndecided
	}
	// The chain of a pinned leaf has no issuer whose CRL could cover it. No other authority can
	// revoke a self-signed leaf; the status of any other is unknown.
	if len(chain) == 1 && v.revocation == RevocationHard && string(chain[0].RawIssuer) != string(chain[0].RawSubject) {
		return until, reason.Refuse(reason.RevocationUnknown, "the leaf is an anchor, and its issuer is not")
	}
	return until, unknown
}

// crlStatus returns the status by the CRLs of one certificate, in a chain that ends at an
// anchor with this anchorName: revoked, or the reason why the status is unknown, or (both
// empty) good until end.
func (v *Verifier) crlStatus(c, issuer *x509.Certificate, anchor string, now time.Time) (revoked bool, why string, end time.Time) {
	if !isListable(c.SerialNumber) {
		return false, "its serial number is too long for a CRL", end
	}
	why = "no CRL of issuer " + quoteName(&c.Issuer)
	own := false          // there is a list of the issuer's own key
	var byOther time.Time // end of the time for which a list of its successor shows that c is good
	for _, l := range v.crls[dn.Canonical(issuer.RawSubject)] {
		mine, applies, good := l.signedBy(issuer), true, true
		if !mine {
			if applies, good = l.signedByOtherKey(issuer, anchor, now); !applies {
				if !own {
					why = "the CRL of issuer " + quoteName(&c.Issuer) + " is signed by another key than the issuer's"
				}
				continue
			}
		}
		if l.revokes(c.SerialNumber) {
			return true, "", time.Time{} // even if the list is stale or partial
		}
		own = own || mine
		if l.replaced {
			continue // fail closed, even if its successor has expired
		}
		switch partial := l.whyNotCovered(c); {
		case partial != "":
			why = partial
		case now.After(l.until):
			why = "the CRL of issuer " + quoteName(&c.Issuer) + " is past its next update, " + l.until.UTC().Format(time.RFC3339)
		case mine && l.until.After(end):
			end = l.until
		case !mine && !good:
			why = "the CRL of issuer " + quoteName(&c.Issuer) + " is signed by another key, which is older, expired or revoked"
		case !mine && l.until.After(byOther):
			byOther = l.until
		}
	}
	// If each key has its own list, the list of another key does not replace a stale one. The
	// list of a successor covers everything only if the issuer's key has no list.
	if !own {
		end = byOther
	}
	if !end.IsZero() {
		return false, "", end
	}
	return false, why, end
}

// queryResponder returns the Responder's status for a certificate that no CRL covers. Without
// wait it uses what the Responder has cached; decided is false if that is nothing. The time
// is the end of the answer.
func (v *Verifier) queryResponder(ctx context.Context, c, issuer *x509.Certificate, why string, wait bool) (revoked bool, unknown string, until time.Time, decided bool) {
	var status Status
	var err error
	if wait {
		status, until, err = v.responder.Status(ctx, c, issuer)
	} else {
		if v.local == nil {
			return false, "", time.Time{}, false
		}
		if status, until, decided, err = v.local.StatusLocal(c, issuer); !decided {
			return false, "", time.Time{}, false
		}
	}
	switch {
	case err != nil:
		return false, why + "; the responder returned an error: " + quote(err.Error()), until, true
	case status == StatusRevoked:
		return true, "", time.Time{}, true
	case status == StatusGood:
		return false, "", until, true
	}
	return false, why + "; the responder does not know the certificate", until, true
}
