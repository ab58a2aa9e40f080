package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
)

var oidConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}

// appliedNames are the kinds of names (RFC 5280 section 4.2.1.6) whose constraints
// crypto/x509 applies: email, DNS, URI, IP.
var appliedNames = []int{1, 2, 6, 7}

// warnConstraints tells of an anchor whose constraints do not do what the operator
// may count on: a critical one that is not understood shuts everyone out, one that
// is not critical keeps nobody out.
func warnConstraints(a *x509.Certificate) []string {
	whose := quote(a.Subject.String())
	if len(a.UnhandledCriticalExtensions) > 0 {
		return []string{"anchor " + whose + " has a critical extension or constraint that is not understood: nobody below it is believed"}
	}
	for _, e := range a.Extensions {
		if e.Id.Equal(oidConstraints) && !allApplied(e.Value) {
			return []string{"anchor " + whose + " has a constraint on names of a kind that is not applied (of the directory, say): bind mappings to an issuer instead"}
		}
	}
	return nil
}

// allApplied reports whether every subtree of a NameConstraints (RFC 5280 section
// 4.2.1.10) is of a kind that is applied. What cannot be read is not.
func allApplied(der []byte) bool {
	var lists []asn1.RawValue // permitted [0], excluded [1]
	if rest, err := asn1.Unmarshal(der, &lists); err != nil || len(rest) > 0 {
		return false
	}
	for _, list := range lists {
		for rest := list.Bytes; len(rest) > 0; {
			var subtree, base asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &subtree); err != nil {
				return false
			}
			if _, err = asn1.Unmarshal(subtree.Bytes, &base); err != nil || !slices.Contains(appliedNames, base.Tag) {
				return false
			}
		}
	}
	return true
}
