package ocsp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

var (
	oidNoCheck  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	oidKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 15}
)

// acceptedAlgorithms are the signature algorithms of accepted answers. CheckSignature of
// crypto/x509 accepts SHA-1 too.
var acceptedAlgorithms = []x509.SignatureAlgorithm{
	x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
	x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
}

// signer returns the certificate whose key must have signed the response: the issuer's, or its
// delegate's (RFC 6960 section 4.2.2.2).
func (r *response) signer(issuer *x509.Certificate, now time.Time) (*x509.Certificate, error) {
	signer := issuer
	if len(r.certificates) > 0 {
		sent, err := x509.ParseCertificate(r.certificates[0].FullBytes)
		if err != nil {
			return nil, malformedError("the signer's certificate")
		}
		// The issuer may include its own certificate.
		if !bytes.Equal(sent.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo) {
			if err := checkDelegate(sent, issuer, now); err != nil {
				return nil, err
			}
			signer = sent
		}
	}
	if r.byName != nil && !bytes.Equal(r.byName, signer.RawSubject) {
		return nil, responderError("the answer names another signer")
	}
	if r.byName == nil && !bytes.Equal(r.byKey, publicKeyHash(signer)) { // never empty, see parseData
		return nil, responderError("the answer names another signer's key")
	}
	return signer, nil
}

// checkDelegate checks a certificate that the responder sent.
func checkDelegate(d, issuer *x509.Certificate, now time.Time) error {
	switch {
	case !usableKey(d): // first: to check a signature with a huge key takes long
		return responderError("the delegate's key is too small, too large or of an unknown type")
	case !bytes.Equal(d.RawIssuer, issuer.RawSubject), d.CheckSignatureFrom(issuer) != nil:
		return responderError("the delegate is not issued by the certificate's issuer")
	case d.Version != 3, d.IsCA:
		return responderError("the delegate is an authority")
	case now.Before(d.NotBefore), now.After(d.NotAfter):
		return responderError("the delegate's certificate is expired or not yet valid")
	case !slices.Contains(d.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return responderError("the delegate lacks the extended key usage OCSPSigning")
	case has(d, oidKeyUsage) && d.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return responderError("the delegate's key usage lacks digitalSignature")
	case len(d.UnhandledCriticalExtensions) > 0:
		return responderError("the delegate's certificate has an unknown critical extension")
	case !has(d, oidNoCheck): // fail closed: the delegate may be revoked
		return responderError("the delegate's certificate lacks id-pkix-ocsp-nocheck")
	}
	return nil
}

func usableKey(c *x509.Certificate) bool {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= 2048 && key.N.BitLen() <= 8192
	case *ecdsa.PublicKey:
		return key.Curve.Params().BitSize >= 256
	}
	return false // x/crypto/ocsp supports no other type
}

func has(c *x509.Certificate, id asn1.ObjectIdentifier) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return true
		}
	}
	return false
}

// publicKeyHash returns the KeyHash of a certificate: the SHA-1 of the public key without its
// algorithm.
func publicKeyHash(c *x509.Certificate) []byte {
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &info); err != nil {
		return nil // does not equal any KeyHash
	}
	h := crypto.SHA1.New() // linked in by x/crypto/ocsp
	h.Write(info.Key.RightAlign())
	return h.Sum(nil)
}

// checkSignature parses the response with x/crypto/ocsp, and checks that it contains the same
// signed bytes as r, and that the signer's key signed them.
func (r *response) checkSignature(body []byte, q *query, signer *x509.Certificate) error {
	read, err := ocsp.ParseResponseForCert(body, q.cert, nil)
	if err != nil {
		return responderError("the answer is not signed by its signer, or cannot be read")
	}
	if !bytes.Equal(read.TBSResponseData, r.tbs) {
		return malformedError("it is ambiguous")
	}
	if !slices.Contains(acceptedAlgorithms, read.SignatureAlgorithm) {
		return responderError("the answer's signature algorithm is too weak or not known")
	}
	if err := read.CheckSignatureFrom(signer); err != nil {
		return responderError("the answer is not signed by the certificate's issuer or its delegate")
	}
	return nil
}
