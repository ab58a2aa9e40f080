package main

import (
	"crypto"
	"crypto/sha1" // one hostile certificate needs it
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
)

// sign signs a template. A nil source of randomness makes ECDSA deterministic (RFC 6979);
// every authority here has an ECDSA key.
func sign(template *x509.Certificate, p *pair, s spoil) (*x509.Certificate, error) {
	parent, signer := template, p.key
	if p.issuer != nil {
		parent, signer = p.issuer.cert, p.issuer.key
	}
	der, err := x509.CreateCertificate(nil, template, parent, p.key.Public(), signer)
	if err != nil {
		return nil, err
	}
	if s.Version == 1 || s.SHA1 {
		if der, err = resign(der, signer, s); err != nil {
			return nil, err
		}
	}
	return x509.ParseCertificate(der)
}

// grow pads a certificate to the size of its spec with a meaningless extension.
func grow(template *x509.Certificate, p *pair, s spoil) (*x509.Certificate, error) {
	missing := s.Size - len(p.cert.Raw)
	if missing <= 0 {
		return p.cert, nil
	}
	value, err := asn1.Marshal(make([]byte, missing))
	if err != nil {
		return nil, err
	}
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oidPadding, Value: value})
	return sign(template, p, s)
}

// tbs is TBSCertificate (RFC 5280 section 4.1), as far as the faults need to know it.
type tbs struct {
	Version    int `asn1:"optional,explicit,default:0,tag:0"`
	Serial     asn1.RawValue
	Algorithm  pkix.AlgorithmIdentifier
	Issuer     asn1.RawValue
	Validity   asn1.RawValue
	Subject    asn1.RawValue
	PublicKey  asn1.RawValue
	Extensions []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
}

type signed struct {
	TBS       tbs
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

var oidECDSAWithSHA1 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1} // RFC 3279 section 2.2.3

// resign adds the faults that crypto/x509 does not sign.
func resign(der []byte, signer crypto.Signer, s spoil) ([]byte, error) {
	var c signed
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		return nil, err
	}
	if s.Version == 1 {
		c.TBS.Version, c.TBS.Extensions = 0, nil // version 1 is written as 0, which is left out
	}
	if s.SHA1 {
		c.TBS.Algorithm.Algorithm = oidECDSAWithSHA1
		c.Algorithm.Algorithm = oidECDSAWithSHA1
	}
	body, err := asn1.Marshal(c.TBS)
	if err != nil {
		return nil, err
	}
	long := sha256.Sum256(body)
	digest, hash := long[:], crypto.SHA256
	if s.SHA1 {
		short := sha1.Sum(body) // one hostile certificate needs it
		digest, hash = short[:], crypto.SHA1
	}
	signature, err := signer.Sign(nil, digest, hash)
	if err != nil {
		return nil, err
	}
	c.Signature = asn1.BitString{Bytes: signature, BitLength: len(signature) * 8}
	return asn1.Marshal(c)
}
