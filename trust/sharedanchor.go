package trust

import (
	"crypto/x509"
	"slices"
)

// sharesAnchor reports whether v and other have an anchor in common: see
// trustaccess.SharesAnchor.
func (v *Verifier) sharesAnchor(other *Verifier) bool {
	known := slices.Concat(v.certificates(), other.certificates())
	return issuesAnyOf(v.anchors, other.anchors, known) || issuesAnyOf(other.anchors, v.anchors, known)
}

// certificates returns the anchors and authorities of v.
func (v *Verifier) certificates() []*x509.Certificate {
	out := slices.Clone(v.anchors)
	for _, a := range v.authorities {
		out = append(out, a.cert)
	}
	return out
}

// issuesAnyOf reports whether a certificate of from issued one of to, directly or through
// known certificates. Certificates with the same key count as one.
func issuesAnyOf(from, to, known []*x509.Certificate) bool {
	targets := map[Digest]bool{}
	for _, c := range to {
		targets[SPKIOf(c)] = true
	}
	seen := map[Digest]bool{}
	for queue := slices.Clone(from); len(queue) > 0; queue = queue[1:] {
		key := SPKIOf(queue[0])
		if targets[key] {
			return true
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		for _, authority := range known { // one key may have several names
			if SPKIOf(authority) != key {
				continue
			}
			for _, c := range known {
				if !seen[SPKIOf(c)] && issued(authority, c) {
					queue = append(queue, c)
				}
			}
		}
	}
	return false
}

func issued(authority, c *x509.Certificate) bool {
	return string(authority.RawSubject) == string(c.RawIssuer) && c.CheckSignatureFrom(authority) == nil
}

// issuedUnderAnchor reports whether an anchor of other has the key of the leaf or of any CA
// certificate of its chains. If the two verifiers are for different purposes, an authority of
// one purpose then issued a certificate for the other.
func (v Verified) issuedUnderAnchor(other *Verifier) bool {
	if v.result == nil || other == nil {
		return false
	}
	return slices.ContainsFunc(other.anchorKeys, func(key Digest) bool {
		return key == v.result.spki || slices.Contains(v.result.issuers, key)
	})
}
