package trust

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/reason"
)

// pause is how soon an answer that is not known is asked for again, where the responder
// does not say.
const retryAfter = 30 * time.Second

// checkRevocation asks the CRLs, and then the responder, about every certificate of a
// chain but its anchor. An anchor is revoked by taking it out, and by the list of a known
// authority that issued it; no list is needed to show that it is good. The time is until
// when the answers hold; the error is errUndecided where the responder must be asked and
// wait is false.
func (v *Verifier) checkRevocation(ctx context.Context, chain []*x509.Certificate, now, until time.Time, wait bool) (time.Time, error) {
	var unknown error
	anchor := dn.Canonical(chain[len(chain)-1].RawSubject)
	if last := chain[len(chain)-1]; len(v.revokedAnchors) > 0 && v.revokedAnchors[FingerprintOf(last)] {
		return until, reason.Refuse(reason.Revoked, "its anchor "+quote(last.Subject.String())+" is revoked")
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
			return until, reason.Refuse(reason.Revoked, "revoked by its issuer "+quote(c.Issuer.String()))
		}
		// Soft accepts what is not known, as the operator asked, and asks again when the
		// answer, or the time in which there was none, is over. Without a responder nothing
		// more can become known in this generation.
		if v.revocation == RevocationHard || v.responder != nil {
			if end.Before(until) {
				until = end
			}
		}
		if why != "" && v.revocation == RevocationHard && unknown == nil {
			unknown = reason.Refuse(reason.RevocationUnknown, why) // an authority further up may be known to be revoked: that is the better reason
		}
	}
	if undecided {
		return until, errUndecided
	}
	// A pinned leaf has no issuer in its chain that could be asked. One that signed
	// itself can be revoked by nobody else; any other is not known.
	if len(chain) == 1 && v.revocation == RevocationHard && string(chain[0].RawIssuer) != string(chain[0].RawSubject) {
		return until, reason.Refuse(reason.RevocationUnknown, "the leaf is its own anchor, and its issuer is none")
	}
	return until, unknown
}

// status answers for one certificate of a chain that ends at an anchor of this
// canonical name: revoked, or why that is not known, or (both empty) good until end.
func (v *Verifier) crlStatus(c, issuer *x509.Certificate, anchor string, now time.Time) (revoked bool, why string, end time.Time) {
	if !isListable(c.SerialNumber) {
		return false, "its serial number is longer than those that a CRL can hold", end
	}
	why = "no CRL of issuer " + quote(c.Issuer.String())
	own := false          // a list of the issuer's own key is there
	var byOther time.Time // until when a list of its successor shows that c is good
	for _, l := range v.crls[dn.Canonical(issuer.RawSubject)] {
		mine, speaks, good := l.signedBy(issuer), true, true
		if !mine {
			if speaks, good = l.signedByOtherKey(issuer, anchor, now); !speaks {
				if !own {
					why = "the CRL of issuer " + quote(c.Issuer.String()) + " is signed by another key than the issuer's"
				}
				continue
			}
		}
		if l.revokes(c.SerialNumber) {
			return true, "", time.Time{} // also when the list is stale or partial
		}
		own = own || mine
		if l.replaced {
			continue // fail closed: where its successor has ended, nothing is known
		}
		switch partial := l.whyNotCovered(c); {
		case partial != "":
			why = partial
		case now.After(l.until):
			why = "the CRL of issuer " + quote(c.Issuer.String()) + " was to be replaced by " + l.until.UTC().Format(time.RFC3339)
		case mine && l.until.After(end):
			end = l.until
		case !mine && !good:
			why = "the CRL of issuer " + quote(c.Issuer.String()) + " is signed by another key, which is older, has ended or is revoked"
		case !mine && l.until.After(byOther):
			byOther = l.until
		}
	}
	// Where each key has its list, that of another key does not stand in for one that is
	// stale. Only where the issuer's key has none any more its successor's list covers all.
	if !own {
		end = byOther
	}
	if !end.IsZero() {
		return false, "", end
	}
	return false, why, end
}

// ask asks the responder about a certificate that no CRL covers. Without wait it takes
// what the responder knows already, and decided is false where that is nothing. The time
// is the end of what is known, or of not knowing it.
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
		return false, why + "; the responder does not know: " + quote(err.Error()), until, true
	case status == StatusRevoked:
		return true, "", time.Time{}, true
	case status == StatusGood:
		return false, "", until, true
	}
	return false, why + "; the responder does not know either", until, true
}
