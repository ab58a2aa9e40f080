package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
)

// scope is what an issuing distribution point (RFC 5280 section 5.2.5) leaves of
// a CRL's authority. The zero value is a list for everything.
type scope struct {
	users, authorities, attributes bool // only these
	someReasons                    bool
	points                         []string // URIs; empty: any
}

// scopeOf is the scope of a list that CheckCRL has passed.
func scopeOf(list *x509.RevocationList) scope {
	for _, e := range list.Extensions {
		if e.Id.Equal(oidScope) {
			s, _ := parseScope(e.Value)
			return s
		}
	}
	return scope{}
}

// equal reports whether two lists speak for the same certificates.
func (s *scope) equal(o *scope) bool {
	return s.users == o.users && s.authorities == o.authorities && s.attributes == o.attributes &&
		s.someReasons == o.someReasons && slices.Equal(s.points, o.points)
}

// parseScope reads the extension. An indirect CRL, a point named relative to its
// issuer, and a list for two kinds at once are errors.
func parseScope(der []byte) (scope, error) {
	var raw struct {
		Point       asn1.RawValue  `asn1:"optional,tag:0"`
		Users       bool           `asn1:"optional,tag:1"`
		Authorities bool           `asn1:"optional,tag:2"`
		Reasons     asn1.BitString `asn1:"optional,tag:3"`
		Indirect    bool           `asn1:"optional,tag:4"`
		Attributes  bool           `asn1:"optional,tag:5"`
	}
	if rest, err := asn1.Unmarshal(der, &raw); err != nil || len(rest) > 0 {
		return scope{}, errors.New("it cannot be read")
	}
	if raw.Indirect {
		return scope{}, errors.New("the CRL is indirect")
	}
	kinds := 0
	for _, only := range []bool{raw.Users, raw.Authorities, raw.Attributes} {
		if only {
			kinds++
		}
	}
	if kinds > 1 {
		return scope{}, errors.New("it limits the CRL to two kinds of certificates at once")
	}
	s := scope{users: raw.Users, authorities: raw.Authorities, attributes: raw.Attributes, someReasons: raw.Reasons.BitLength > 0}
	if len(raw.Point.FullBytes) == 0 {
		return s, nil
	}
	var name asn1.RawValue // DistributionPointName: fullName [0] or nameRelativeToCRLIssuer [1]
	if rest, err := asn1.Unmarshal(raw.Point.Bytes, &name); err != nil || len(rest) > 0 || name.Tag != 0 {
		return scope{}, errors.New("its name is not a full name")
	}
	for rest := name.Bytes; len(rest) > 0; {
		var general asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &general); err != nil {
			return scope{}, errors.New("its name cannot be read")
		}
		if general.Class == asn1.ClassContextSpecific && general.Tag == 6 {
			s.points = append(s.points, string(general.Bytes))
		}
	}
	if len(s.points) == 0 {
		return scope{}, errors.New("its name holds no URI")
	}
	return s, nil
}

// coverage returns why the list does not speak for a certificate, or nothing.
func (l *crl) coverage(c *x509.Certificate) string {
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
	case issuedByOther(c):
		return "the certificate wants a CRL of another issuer than its own"
	}
	return ""
}

var oidPoints = asn1.ObjectIdentifier{2, 5, 29, 31}

// issuedByOther reports whether every distribution point of a certificate names an
// issuer of its CRL (RFC 5280 section 4.2.1.13): then the CRL of its own issuer
// does not speak for it. Points that cannot be read are treated so too.
func issuedByOther(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidPoints) {
			continue
		}
		var points []struct {
			Point   asn1.RawValue  `asn1:"optional,tag:0"`
			Reasons asn1.BitString `asn1:"optional,tag:1"`
			Issuer  asn1.RawValue  `asn1:"optional,tag:2"`
		}
		if rest, err := asn1.Unmarshal(e.Value, &points); err != nil || len(rest) > 0 {
			return true // fail closed
		}
		for _, p := range points {
			if len(p.Issuer.FullBytes) == 0 {
				return false
			}
		}
		return len(points) > 0
	}
	return false
}
