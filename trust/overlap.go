package trust

import "crypto/x509"

// SharesAnchor reports whether one anchor of v and one of other are the same
// authority, by key, or one of them issued the other. Then a certificate that one
// of the two believes may be believed by the other: what they are for is no longer
// apart. It checks signatures, so it belongs where things are built.
func (v *Verifier) SharesAnchor(other *Verifier) bool {
	for _, a := range v.anchors {
		for _, b := range other.anchors {
			if SPKIOf(a) == SPKIOf(b) || issued(a, b) || issued(b, a) {
				return true
			}
		}
	}
	return false
}

func issued(authority, c *x509.Certificate) bool {
	return string(authority.RawSubject) == string(c.RawIssuer) && c.CheckSignatureFrom(authority) == nil
}
