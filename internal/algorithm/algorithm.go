// Package algorithm names the algorithms of certificates and CRLs, also those that
// crypto/x509 does not support.
package algorithm

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// What to use instead of an algorithm that is not supported.
const (
	SupportedKeys       = "RSA, Ed25519, or EC on P-256, P-384 or P-521"
	SupportedSignatures = "RSA or ECDSA with SHA-256, SHA-384 or SHA-512, or Ed25519; with RSA-PSS with a salt as long as the hash (openssl: -sigopt rsa_pss_saltlen:digest)"
)

var (
	oidEC  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
)

// UnsupportedSignature names the signature algorithm of a certificate, with its OID. It
// returns "" if crypto/x509 can check such signatures, or refuses them as too weak.
func UnsupportedSignature(c *x509.Certificate) string {
	return unsupportedSignature(c.SignatureAlgorithm, c.Raw)
}

// UnsupportedListSignature is UnsupportedSignature for a CRL.
func UnsupportedListSignature(list *x509.RevocationList) string {
	return unsupportedSignature(list.SignatureAlgorithm, list.Raw)
}

func unsupportedSignature(a x509.SignatureAlgorithm, raw []byte) string {
	switch a {
	case x509.UnknownSignatureAlgorithm:
		return signature(raw)
	case x509.DSAWithSHA1, x509.DSAWithSHA256:
		return a.String()
	}
	return ""
}

// UnsupportedKey names the algorithm or the curve of a certificate's public key, with its
// OID. It returns "" if crypto/x509 can use the key.
func UnsupportedKey(c *x509.Certificate) string {
	if c.PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm || c.PublicKeyAlgorithm == x509.DSA {
		return key(c.RawSubjectPublicKeyInfo)
	}
	return ""
}

// ParseCertificate is x509.ParseCertificate. Its error names a curve that is not supported.
func ParseCertificate(raw []byte) (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(raw)
	if err == nil {
		return c, nil
	}
	if name := curveOf(raw); name != "" {
		return nil, fmt.Errorf("its key is on a curve that is not supported: %s", name)
	}
	return nil, err
}

// IsUnsupportedCurve reports whether DER is a certificate that ParseCertificate cannot parse
// because of the curve of its key.
func IsUnsupportedCurve(raw []byte) bool { return curveOf(raw) != "" }

// curveOf names the curve of the key of a certificate in DER if it is not supported.
func curveOf(raw []byte) string {
	in := cryptobyte.String(raw)
	var all, tbs, info, algorithm cryptobyte.String
	if !in.ReadASN1(&all, der.SEQUENCE) || !all.ReadASN1(&tbs, der.SEQUENCE) ||
		!tbs.SkipOptionalASN1(der.Tag(0).Constructed().ContextSpecific()) || !tbs.SkipASN1(der.INTEGER) {
		return ""
	}
	for range 4 { // signature, issuer, validity, subject
		if !tbs.SkipASN1(der.SEQUENCE) {
			return ""
		}
	}
	var id, curve asn1.ObjectIdentifier
	if !tbs.ReadASN1(&info, der.SEQUENCE) || !info.ReadASN1(&algorithm, der.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidEC) {
		return ""
	}
	if algorithm.PeekASN1Tag(der.SEQUENCE) {
		return "explicit curve parameters instead of the name of a curve"
	}
	if !algorithm.ReadASN1ObjectIdentifier(&curve) || supportedCurves[curve.String()] {
		return ""
	}
	return named(curve)
}

// signature names the signature algorithm of a certificate or CRL in DER.
func signature(raw []byte) string {
	in := cryptobyte.String(raw)
	var all, algorithm cryptobyte.String
	var id asn1.ObjectIdentifier
	if !in.ReadASN1(&all, der.SEQUENCE) || !all.SkipASN1(der.SEQUENCE) || !all.ReadASN1(&algorithm, der.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&id) {
		return "an algorithm that cannot be read"
	}
	if id.Equal(oidPSS) {
		if text := pss(algorithm); text != "" {
			return text + " (" + id.String() + ")"
		}
	}
	return named(id)
}

// pss describes the parameters of RSA-PSS (RFC 4055 section 3.1); "" if they cannot be read.
func pss(algorithm cryptobyte.String) string {
	var parameters, hash, mask, salt, inner cryptobyte.String
	var hasHash, hasMask, hasSalt bool
	if !algorithm.ReadASN1(&parameters, der.SEQUENCE) ||
		!parameters.ReadOptionalASN1(&hash, &hasHash, der.Tag(0).Constructed().ContextSpecific()) ||
		!parameters.ReadOptionalASN1(&mask, &hasMask, der.Tag(1).Constructed().ContextSpecific()) ||
		!parameters.ReadOptionalASN1(&salt, &hasSalt, der.Tag(2).Constructed().ContextSpecific()) {
		return ""
	}
	name := func(s cryptobyte.String, present bool) string {
		var id asn1.ObjectIdentifier
		switch {
		case !present:
			return "SHA-1" // the default
		case !s.ReadASN1(&inner, der.SEQUENCE) || !inner.ReadASN1ObjectIdentifier(&id):
			return "an unreadable hash"
		}
		if known, ok := names[id.String()]; ok {
			return known
		}
		return id.String()
	}
	length := 20 // the default
	if hasSalt && !salt.ReadASN1Integer(&length) {
		return ""
	}
	main, second := name(hash, hasHash), "SHA-1"
	if hasMask {
		var id asn1.ObjectIdentifier
		if !mask.ReadASN1(&mask, der.SEQUENCE) || !mask.ReadASN1ObjectIdentifier(&id) {
			return ""
		}
		second = name(mask, true)
	}
	text := "RSA-PSS with " + main
	if main != second {
		text += ", MGF1 with " + second
	}
	return fmt.Sprintf("%s and a salt of %d bytes", text, length)
}

// key names the algorithm of a SubjectPublicKeyInfo in DER.
func key(spki []byte) string {
	in := cryptobyte.String(spki)
	var info, algorithm cryptobyte.String
	var id asn1.ObjectIdentifier
	if !in.ReadASN1(&info, der.SEQUENCE) || !info.ReadASN1(&algorithm, der.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&id) {
		return "an algorithm that cannot be read"
	}
	return named(id)
}

// named returns the name of an OID, if it is known, and the OID.
func named(id asn1.ObjectIdentifier) string {
	if name, ok := names[id.String()]; ok {
		return name + " (" + id.String() + ")"
	}
	return id.String()
}

// ErrUnsupported reports whether the error of a signature check means that the algorithm or
// the key is not supported, and not that the signature is wrong.
func ErrUnsupported(err error) bool { return errors.Is(err, x509.ErrUnsupportedAlgorithm) }

var supportedCurves = map[string]bool{
	"1.3.132.0.33": true, "1.2.840.10045.3.1.7": true, "1.3.132.0.34": true, "1.3.132.0.35": true,
}
