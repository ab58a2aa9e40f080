package keystore

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"
)

// maxIterations bounds what a file can make the derivation of its keys cost: about
// a second each. Java writes 10,000, openssl 2,048.
const maxIterations = 2_000_000

func (s *source) parsePKCS12() (tls.Certificate, error) {
	if n := iterations(s.data, 0); n > maxIterations {
		return tls.Certificate{}, s.wrong(fmt.Sprintf("the file wants %d iterations for its password", n), fmt.Sprintf("at most %d", maxIterations))
	}
	password, err := s.secret(s.password)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, leaf, others, err := pkcs12.DecodeChain(s.data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return tls.Certificate{}, s.wrong("the password is not that of the file", "")
	case err != nil:
		return tls.Certificate{}, s.wrong("the PKCS#12 file cannot be read: "+err.Error(), "openssl pkcs12 -in FILE -info shows what openssl makes of it")
	}
	out, err := assemble(key, append([]*x509.Certificate{leaf}, others...))
	if err != nil {
		return tls.Certificate{}, s.wrong(err.Error(), "")
	}
	return out, nil
}

const maxNesting = 32

// iterations returns the largest number that stands behind an OCTET STRING, which is
// where PKCS#12 (RFC 7292, RFC 8018) has its salts and counts. It sees what is not
// encrypted.
func iterations(der []byte, depth int) int {
	most, salted := 0, false
	for len(der) > 0 && depth < maxNesting {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return most
		}
		der = rest
		universal := v.Class == asn1.ClassUniversal
		if universal && v.Tag == asn1.TagInteger && salted {
			most = max(most, count(v.FullBytes))
		}
		salted = universal && v.Tag == asn1.TagOctetString
		if v.IsCompound || salted { // an OCTET STRING may hold more DER
			most = max(most, iterations(v.Bytes, depth+1))
		}
	}
	return most
}

func count(der []byte) int {
	var n int
	if _, err := asn1.Unmarshal(der, &n); err != nil {
		return maxIterations + 1 // larger than an int
	}
	return n
}
