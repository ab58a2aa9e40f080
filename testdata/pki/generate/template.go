package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"net/url"
)

// Below 2.999, the arc for examples (ITU-T X.660).
var (
	oidCritical = asn1.ObjectIdentifier{2, 999, 1}
	oidPadding  = asn1.ObjectIdentifier{2, 999, 2}
)

var usages = map[string]x509.KeyUsage{
	"digitalSignature": x509.KeyUsageDigitalSignature,
	"certSign":         x509.KeyUsageCertSign,
	"crlSign":          x509.KeyUsageCRLSign,
}

var extended = map[string]x509.ExtKeyUsage{
	"client": x509.ExtKeyUsageClientAuth,
	"server": x509.ExtKeyUsageServerAuth,
	"any":    x509.ExtKeyUsageAny,
}

func templateOf(c *certificate, made map[string]*pair) (*x509.Certificate, error) {
	subject, err := subjectOf(c)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serialOf(c.Name), RawSubject: subject,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		IsCA: c.CA, BasicConstraintsValid: c.CA,
		DNSNames: c.DNS, EmailAddresses: c.Email,
	}
	for _, word := range c.Usage {
		bit, ok := usages[word]
		if !ok {
			return nil, fmt.Errorf("%q is not a usage", word)
		}
		t.KeyUsage |= bit
	}
	for _, word := range c.EKU {
		eku, ok := extended[word]
		if !ok {
			return nil, fmt.Errorf("%q is not an eku", word)
		}
		t.ExtKeyUsage = append(t.ExtKeyUsage, eku)
	}
	for _, text := range c.URI {
		u, err := url.Parse(text)
		if err != nil {
			return nil, err
		}
		t.URIs = append(t.URIs, u)
	}
	for _, text := range c.IP {
		ip := net.ParseIP(text)
		if ip == nil {
			return nil, fmt.Errorf("%q is not an IP address", text)
		}
		t.IPAddresses = append(t.IPAddresses, ip)
	}
	return t, spoilTemplate(t, c.Spoil, made)
}

// spoilTemplate adds the faults that crypto/x509 signs.
func spoilTemplate(t *x509.Certificate, s spoil, made map[string]*pair) error {
	for i := len(t.DNSNames); i < s.Names; i++ {
		t.DNSNames = append(t.DNSNames, fmt.Sprintf("host-%d.acme.example", i+1))
	}
	if s.Critical {
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oidCritical, Critical: true, Value: asn1.NullBytes})
	}
	if s.KeyIDOf != "" {
		other := made[s.KeyIDOf]
		if other == nil {
			return fmt.Errorf("key_id_of %q is not an entry above it", s.KeyIDOf)
		}
		t.SubjectKeyId = other.cert.SubjectKeyId
	}
	return nil
}
