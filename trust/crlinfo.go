package trust

import (
	"cmp"
	"crypto/x509"
	"math/big"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
)

// CRLInfo describes a revocation list of a Verifier (RFC 5280 section 5).
type CRLInfo struct {
	Issuer     string   // the name of the issuer, as in logs
	Number     *big.Int // RFC 5280 section 5.2.3; nil: the list has none. Do not modify it
	ThisUpdate time.Time
	NextUpdate time.Time // zero: the list has none
	Until      time.Time // until when the list shows that a certificate is not revoked: NextUpdate, or a week after ThisUpdate
	Entries    int
	Replaced   bool // a newer list of the same issuer, key and scope is there: this one shows only what is revoked

	list *x509.RevocationList
}

// CRLs describes the revocation lists, sorted by issuer, the newest of an issuer first. It
// returns them also if Revocation is off and none of them is used.
func (v *Verifier) CRLs() []CRLInfo {
	var out []CRLInfo
	for _, lists := range v.crls {
		for _, l := range lists {
			out = append(out, CRLInfo{
				Issuer: dn.Print(&l.list.Issuer), Number: l.list.Number, ThisUpdate: l.list.ThisUpdate, NextUpdate: l.list.NextUpdate,
				Until: l.until, Entries: len(l.serials), Replaced: l.replaced, list: l.list,
			})
		}
	}
	slices.SortFunc(out, func(a, b CRLInfo) int {
		return cmp.Or(cmp.Compare(a.Issuer, b.Issuer), b.ThisUpdate.Compare(a.ThisUpdate), slices.Compare(a.list.Signature, b.list.Signature))
	})
	return out
}
