package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/dn"
)

// checkCertificateSyntax parses a certificate of version 3 a second time, to the last byte,
// by RFC 5280 section 4.1. x509.ParseCertificate ignores some unexpected elements: another
// program could then read a different certificate from the same bytes.
func checkCertificateSyntax(c *x509.Certificate) error {
	malformed := func(what string) error { return errors.New("malformed " + what) }
	input := cryptobyte.String(c.Raw)
	var all, tbs, outer, inner, version, name, validity, key cryptobyte.String
	var signature, keyBits []byte
	if !input.ReadASN1(&all, der.SEQUENCE) || !input.Empty() ||
		!all.ReadASN1Element(&tbs, der.SEQUENCE) || !all.ReadASN1(&outer, der.SEQUENCE) || !all.ReadASN1BitStringAsBytes(&signature) || !all.Empty() {
		return malformed("Certificate")
	}
	if !bytes.Equal(tbs, c.RawTBSCertificate) {
		return malformed("Certificate: it is ambiguous")
	}
	three := 0
	if !tbs.ReadASN1(&tbs, der.SEQUENCE) || !tbs.ReadASN1(&version, der.Tag(0).Constructed().ContextSpecific()) ||
		!version.ReadASN1Integer(&three) || !version.Empty() || three != 2 {
		return malformed("version")
	}
	if !tbs.SkipASN1(der.INTEGER) || !tbs.ReadASN1(&inner, der.SEQUENCE) || !bytes.Equal(inner, outer) || !isAlgorithm(inner) {
		return malformed("serialNumber or signature algorithm")
	}
	if !tbs.ReadASN1Element(&name, der.SEQUENCE) || !dn.Each(name, acceptAttribute) {
		return malformed("issuer")
	}
	if !tbs.ReadASN1(&validity, der.SEQUENCE) || !skipTime(&validity) || !skipTime(&validity) || !validity.Empty() {
		return malformed("validity")
	}
	if !tbs.ReadASN1Element(&name, der.SEQUENCE) || !dn.Each(name, acceptAttribute) {
		return malformed("subject")
	}
	if !tbs.ReadASN1(&key, der.SEQUENCE) || !key.ReadASN1(&inner, der.SEQUENCE) || !isAlgorithm(inner) || !key.ReadASN1BitStringAsBytes(&keyBits) || !key.Empty() {
		return malformed("subjectPublicKeyInfo")
	}
	var extensions cryptobyte.String
	var present bool
	if !tbs.SkipOptionalASN1(der.Tag(1).ContextSpecific()) || !tbs.SkipOptionalASN1(der.Tag(2).ContextSpecific()) ||
		!tbs.ReadOptionalASN1(&extensions, &present, der.Tag(3).Constructed().ContextSpecific()) {
		return malformed("TBSCertificate")
	}
	if present && (!readExtensions(&extensions, isCertificateExtension) || !extensions.Empty()) {
		return malformed("extensions")
	}
	if !tbs.Empty() {
		return malformed("TBSCertificate: data after its last element")
	}
	return nil
}

func acceptAttribute(int, asn1.ObjectIdentifier, der.Tag, []byte) bool { return true }

// skipTime reads a Time from the front of s: with seconds and in UTC. It accepts a
// GeneralizedTime before 2050: RFC 5280 section 4.1.2.5 forbids it, but it is unambiguous.
func skipTime(s *cryptobyte.String) bool {
	var content cryptobyte.String
	var tag der.Tag
	rest := *s
	if !rest.ReadAnyASN1(&content, &tag) {
		return false
	}
	if tag == der.GeneralizedTime && string(content) < "2050" {
		*s = rest
		_, ok := parseGeneralizedTime(content)
		return ok
	}
	_, ok := readTime(s)
	return ok
}

// isCertificateExtension checks the values that crypto/x509 does not parse strictly.
func isCertificateExtension(id asn1.ObjectIdentifier, _ bool, value []byte) bool {
	s := cryptobyte.String(value)
	var inner cryptobyte.String
	switch {
	case id.Equal(oidKeyUsage):
		var bits asn1.BitString
		return s.ReadASN1BitString(&bits) && s.Empty()
	case id.Equal(oidBasicConstraints):
		var ca, length int
		ok := s.ReadASN1(&inner, der.SEQUENCE) && s.Empty()
		if ok && inner.PeekASN1Tag(der.BOOLEAN) {
			var is bool
			ok, ca = inner.ReadASN1Boolean(&is), 1
		}
		if ok && ca == 1 && inner.PeekASN1Tag(der.INTEGER) {
			ok = inner.ReadASN1Integer(&length) && length >= 0
		}
		return ok && inner.Empty()
	case id.Equal(oidExtKeyUsage):
		ok := s.ReadASN1(&inner, der.SEQUENCE) && s.Empty()
		for ok && !inner.Empty() {
			ok = inner.SkipASN1(der.OBJECT_IDENTIFIER)
		}
		return ok
	case id.Equal(oidSAN):
		return s.ReadASN1(&inner, der.SEQUENCE) && s.Empty() && areGeneralNames(inner)
	case id.Equal(oidPoints):
		ok := s.ReadASN1(&inner, der.SEQUENCE) && s.Empty()
		for ok && !inner.Empty() {
			ok = readPoint(&inner)
		}
		return ok
	case id.Equal(oidConstraints):
		ok := s.ReadASN1(&inner, der.SEQUENCE) && s.Empty()
		for tag := der.Tag(0); ok && tag <= 1; tag++ {
			var trees cryptobyte.String
			var present bool
			ok = inner.ReadOptionalASN1(&trees, &present, tag.Constructed().ContextSpecific()) && (!present || areSubtrees(trees))
		}
		return ok && inner.Empty()
	case id.Equal(oidAuthorityKey):
		return isListExtension(id, false, value)
	case id.Equal(oidSubjectKey):
		return s.ReadASN1(&inner, der.OCTET_STRING) && s.Empty()
	}
	return true
}

// readPoint reads a DistributionPoint (RFC 5280 section 4.2.1.13) from the front of s.
func readPoint(s *cryptobyte.String) bool {
	var point, name, full, issuer cryptobyte.String
	var hasName, hasIssuer bool
	var tag der.Tag
	if !s.ReadASN1(&point, der.SEQUENCE) || !point.ReadOptionalASN1(&name, &hasName, der.Tag(0).Constructed().ContextSpecific()) ||
		!point.SkipOptionalASN1(der.Tag(1).ContextSpecific()) ||
		!point.ReadOptionalASN1(&issuer, &hasIssuer, der.Tag(2).Constructed().ContextSpecific()) || !point.Empty() {
		return false
	}
	if hasName && (!name.ReadAnyASN1(&full, &tag) || !name.Empty() || tag != der.Tag(0).Constructed().ContextSpecific() && tag != der.Tag(1).Constructed().ContextSpecific() ||
		tag == der.Tag(0).Constructed().ContextSpecific() && !areGeneralNames(full)) {
		return false
	}
	return (hasName || hasIssuer) && (!hasIssuer || areGeneralNames(issuer)) // at least one of them is required
}

// areSubtrees reports whether s is the content of a GeneralSubtrees (RFC 5280 section
// 4.2.1.10): each has one name and at most its two distances.
func areSubtrees(s cryptobyte.String) bool {
	for ok := true; !s.Empty(); {
		var tree, name cryptobyte.String
		var tag der.Tag
		ok = s.ReadASN1(&tree, der.SEQUENCE) && tree.ReadAnyASN1Element(&name, &tag) && areGeneralNames(name) &&
			tree.SkipOptionalASN1(der.Tag(0).ContextSpecific()) && tree.SkipOptionalASN1(der.Tag(1).ContextSpecific()) && tree.Empty()
		if !ok {
			return false
		}
	}
	return true
}

// areGeneralNames reports whether s is the content of a GeneralNames (RFC 5280 section
// 4.2.1.6): structured names have constructed tags, the others have primitive tags.
func areGeneralNames(s cryptobyte.String) bool {
	for !s.Empty() {
		var name cryptobyte.String
		var tag der.Tag
		if !s.ReadAnyASN1(&name, &tag) || tag&0xc0 != 0x80 {
			return false
		}
		switch n := tag & 0x1f; {
		case n == 4 && !dn.Each(name, acceptAttribute), (n == 0 || n == 3 || n == 5) && name.Empty():
			return false
		case n > 8, (n == 0 || n == 3 || n == 4 || n == 5) != (tag&0x20 != 0):
			return false
		}
	}
	return true
}

var (
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidSubjectKey       = asn1.ObjectIdentifier{2, 5, 29, 14}
)
