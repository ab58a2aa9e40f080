package trust

import (
	"crypto/x509"
	"slices"
)

// SharesAnchor reports whether one anchor of v and one of other are the same
// authority, by key, or one of them issued the other, directly or through authorities
// that either verifier knows (anchors and CRL issuers). Then a certificate that one
// of the two trusts may be trusted by the other: what they are for is no longer
// apart. An authority between that neither knows is not seen here: IssuedUnderAnchor
// sees it in the chain. It checks signatures, so it belongs where things are built.
func (v *Verifier) sharesAnchor(other *Verifier) bool {
	known := slices.Concat(v.certificates(), other.certificates())
	return issuesAnyOf(v.anchors, other.anchors, known) || issuesAnyOf(other.anchors, v.anchors, known)
}

// certificates are all authorities and anchors that v knows.
func (v *Verifier) certificates() []*x509.Certificate {
	out := slices.Clone(v.anchors)
	for _, a := range v.authorities {
		out = append(out, a.cert)
	}
	return out
}

// reaches reports whether issuing leads from one of from to one of to, through known
// certificates. A certificate counts for every other one of its key.
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
		for _, authority := range known { // every name that this key bears
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

// IssuedUnderAnchor reports whether the key of an anchor of other is the leaf's own or
// that of any CA certificate of its chains. Where the two verifiers are for different
// things, such a certificate is for both: a user's authority made it.
func (v Verified) issuedUnderAnchor(other *Verifier) bool {
	if v.result == nil || other == nil {
		return false
	}
	return slices.ContainsFunc(other.anchorKeys, func(key Digest) bool {
		return key == v.result.spki || slices.Contains(v.result.issuers, key)
	})
}
