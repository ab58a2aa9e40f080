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

// strong are the signatures that are believed. crypto/x509 checks those with SHA-1
// too when it is asked directly.
var acceptedAlgorithms = []x509.SignatureAlgorithm{
	x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
	x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
}

// signer returns the certificate whose key must have signed: the issuer's, or its
// delegate's (RFC 6960 section 4.2.2.2).
func (r *response) signer(issuer *x509.Certificate, now time.Time) (*x509.Certificate, error) {
	signer := issuer
	if len(r.certificates) > 0 {
		sent, err := x509.ParseCertificate(r.certificates[0].FullBytes)
		if err != nil {
			return nil, malformedError("the signer's certificate")
		}
		// An issuer that signs itself may send its certificate along.
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

// checkDelegate judges a certificate that the responder sent.
func checkDelegate(d, issuer *x509.Certificate, now time.Time) error {
	switch {
	case !usableKey(d): // first: a signature by a giant key takes its time to check
		return responderError("the delegate's key is too weak, too large or of an unknown kind")
	case !bytes.Equal(d.RawIssuer, issuer.RawSubject), d.CheckSignatureFrom(issuer) != nil:
		return responderError("the delegate is not issued by the certificate's issuer")
	case d.Version != 3, d.IsCA:
		return responderError("the delegate is an authority")
	case now.Before(d.NotBefore), now.After(d.NotAfter):
		return responderError("the delegate's certificate is expired or not yet valid")
	case !slices.Contains(d.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return responderError("the delegate may not sign answers: no extended key usage OCSPSigning")
	case has(d, oidKeyUsage) && d.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return responderError("the delegate's key usage lacks digitalSignature")
	case len(d.UnhandledCriticalExtensions) > 0:
		return responderError("the delegate's certificate has a critical extension that is not understood")
	case !has(d, oidNoCheck): // fail closed: nobody says that the delegate is not revoked
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
	return false // x/crypto/ocsp checks no other
}

func has(c *x509.Certificate, id asn1.ObjectIdentifier) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return true
		}
	}
	return false
}

// keyHash is the SHA-1 of a public key without its algorithm, as a KeyHash names it.
func publicKeyHash(c *x509.Certificate) []byte {
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &info); err != nil {
		return nil // equals no KeyHash
	}
	h := crypto.SHA1.New() // linked in by x/crypto/ocsp
	h.Write(info.Key.RightAlign())
	return h.Sum(nil)
}

// checkSignature lets x/crypto/ocsp read the response, and checks that it saw the same
// signed bytes as parse did, and that the signer's key signed them.
func (r *response) checkSignature(body []byte, q *query, signer *x509.Certificate) error {
	read, err := ocsp.ParseResponseForCert(body, q.cert, nil)
	if err != nil {
		return responderError("the answer is not signed by its signer, or cannot be read")
	}
	if !bytes.Equal(read.TBSResponseData, r.tbs) {
		return malformedError("it can be read in two ways")
	}
	if !slices.Contains(acceptedAlgorithms, read.SignatureAlgorithm) {
		return responderError("the answer's signature algorithm is too weak or not known")
	}
	if err := read.CheckSignatureFrom(signer); err != nil {
		return responderError("the answer is not signed by the certificate's issuer or its delegate")
	}
	return nil
}
