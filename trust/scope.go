package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// scope is the set of certificates that a CRL covers, by its issuing distribution point (RFC
// 5280 section 5.2.5). The zero value covers all certificates of the issuer.
type scope struct {
	users, authorities, attributes bool // only these
	someReasons                    bool
	points                         []string // URIs; empty: any
}

// scopeOf returns the scope of a list that passed its check.
func scopeOf(list *x509.RevocationList) scope {
	for _, e := range list.Extensions {
		if e.Id.Equal(oidScope) {
			s, _ := parseScope(e.Value)
			return s
		}
	}
	return scope{}
}

// equal reports whether two lists cover the same certificates.
func (s *scope) equal(o *scope) bool {
	return s.users == o.users && s.authorities == o.authorities && s.attributes == o.attributes &&
		s.someReasons == o.someReasons && slices.Equal(s.points, o.points)
}

// parseScope parses the extension to its last byte. It returns an error for an indirect CRL,
// a distribution point named relative to its issuer, and a list for two types of certificates
// at once.
func parseScope(value []byte) (scope, error) {
	unreadable := errors.New("it cannot be read")
	var all, point, reasons cryptobyte.String
	var hasPoint, hasReasons, indirect bool
	var s scope
	in := cryptobyte.String(value)
	if !in.ReadASN1(&all, der.SEQUENCE) || !in.Empty() ||
		!all.ReadOptionalASN1(&point, &hasPoint, der.Tag(0).Constructed().ContextSpecific()) ||
		!readFlag(&all, 1, &s.users) || !readFlag(&all, 2, &s.authorities) ||
		!all.ReadOptionalASN1(&reasons, &hasReasons, der.Tag(3).ContextSpecific()) ||
		!readFlag(&all, 4, &indirect) || !readFlag(&all, 5, &s.attributes) || !all.Empty() {
		return scope{}, unreadable
	}
	if indirect {
		return scope{}, errors.New("the CRL is indirect")
	}
	kinds := 0
	for _, only := range []bool{s.users, s.authorities, s.attributes} {
		if only {
			kinds++
		}
	}
	if kinds > 1 {
		return scope{}, errors.New("it limits the CRL to two types of certificates at once")
	}
	s.someReasons = hasReasons
	if !hasPoint {
		return s, nil
	}
	var names cryptobyte.String
	if !point.ReadASN1(&names, der.Tag(0).Constructed().ContextSpecific()) || !point.Empty() {
		return scope{}, errors.New("its name is not a full name")
	}
	for !names.Empty() {
		var name cryptobyte.String
		var tag der.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return scope{}, errors.New("its name cannot be read")
		}
		if tag == der.Tag(6).ContextSpecific() {
			s.points = append(s.points, string(name))
		}
	}
	if len(s.points) == 0 {
		return scope{}, errors.New("its name holds no URI")
	}
	return s, nil
}

// readFlag reads an optional [n] IMPLICIT BOOLEAN from the front of s.
func readFlag(s *cryptobyte.String, n uint8, out *bool) bool {
	var content cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&content, &present, der.Tag(n).ContextSpecific()) {
		return false
	}
	if !present {
		return true
	}
	*out = len(content) == 1 && content[0] == 0xff
	return len(content) == 1 && (content[0] == 0 || content[0] == 0xff)
}

// whyNotCovered returns the reason why the list does not cover a certificate, or "".
func (l *crl) whyNotCovered(c *x509.Certificate) string {
	s := &l.scope
	switch {
	case s.attributes:
		return "the CRL is for attribute certificates only"
	case s.users && c.IsCA:
		return "the CRL is for leaves only"
	case s.authorities && !c.IsCA:
		return "the CRL is for authorities only"
	case s.someReasons:
		return "the CRL covers some reasons for revocation only"
	case len(s.points) > 0 && !slices.ContainsFunc(c.CRLDistributionPoints, func(p string) bool { return slices.Contains(s.points, p) }):
		return "the CRL is for another distribution point"
	case wantsOtherCRLIssuer(c):
		return "the certificate names another issuer for its CRL"
	}
	return ""
}

var oidPoints = asn1.ObjectIdentifier{2, 5, 29, 31}

// wantsOtherCRLIssuer reports whether every distribution point of a certificate names another
// issuer of its CRL (RFC 5280 section 4.2.1.13): then the CRL of the certificate's own issuer
// does not cover it. It is also true for points that cannot be parsed.
func wantsOtherCRLIssuer(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidPoints) {
			continue
		}
		in := cryptobyte.String(e.Value)
		var points cryptobyte.String
		if !in.ReadASN1(&points, der.SEQUENCE) || !in.Empty() {
			return true // fail closed
		}
		own, other := false, false
		for !points.Empty() {
			var point, skipped cryptobyte.String
			var hasIssuer bool
			if !points.ReadASN1(&point, der.SEQUENCE) || !inAscendingTags(point, 0, 1, 2) {
				return true // fail closed
			}
			if !point.SkipOptionalASN1(der.Tag(0).Constructed().ContextSpecific()) || !point.SkipOptionalASN1(der.Tag(1).ContextSpecific()) ||
				!point.ReadOptionalASN1(&skipped, &hasIssuer, der.Tag(2).Constructed().ContextSpecific()) || !point.Empty() {
				return true // fail closed
			}
			own, other = own || !hasIssuer, other || hasIssuer
		}
		return other && !own
	}
	return false
}
