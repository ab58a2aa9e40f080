package forwarded

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"strings"
)

// maxCertificates is how many may be stated, the leaf included.
const maxCertificates = 10

// decoder makes DER of what two headers say, leaf first. It skips nothing: what it
// does not understand is a fault. There is at least one byte in cert.
type decoder func(cert, chain string) ([][]byte, error)

// fault is why a statement cannot be read. It never holds what was stated.
type fault string

func (f fault) Error() string { return string(f) }

const (
	faultTwice    fault = "a header of the gateway's comes more than once"
	faultSpelling fault = "a header is spelled almost like one of the gateway's"
	faultTrailer  fault = "a header of the gateway's is announced as a trailer"
	faultLong     fault = "the statement is longer than 16 KiB"

	faultBase64   fault = "not base64 as RFC 4648 writes it"
	faultSequence fault = "not a Byte Sequence of RFC 8941, alone and without parameters"
	faultMany     fault = "more than 10 certificates"
	faultPercent  fault = "not percent-encoded PEM"
	faultPEM      fault = "not PEM of certificates and nothing else"
	faultDER      fault = "not a certificate"
	faultRepeated fault = "the leaf is repeated among its issuers"

	faultXFCC      fault = "not an element of X-Forwarded-Client-Cert"
	faultElements  fault = "more than one element: forward_client_cert_details is not SANITIZE_SET"
	faultKey       fault = "a key that is not known"
	faultKeyTwice  fault = "a key that may come once comes twice"
	faultNoCert    fault = "an element with neither Cert nor Chain"
	faultOtherLeaf fault = "Cert is not the first of Chain"
	faultHash      fault = "Hash is not the SHA-256 of the certificate"
)

// parse makes certificates of DER.
func parse(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) == 0 || len(ders) > maxCertificates {
		return nil, faultMany
	}
	out := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		if i > 0 && bytes.Equal(der, ders[0]) {
			return nil, faultRepeated // RFC 9440 section 2.3
		}
		c, err := x509.ParseCertificate(der)
		if err != nil || len(c.Raw) != len(der) {
			return nil, faultDER
		}
		out[i] = c
	}
	return out, nil
}

// decodeBase64 takes canonical base64 alone (RFC 4648 section 3.5): there is one
// text for one certificate.
func decodeBase64(text string) ([]byte, error) {
	if text == "" || strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return nil, faultBase64
	}
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, faultBase64
	}
	return der, nil
}

// decodeDER reads base64 of the leaf's DER.
func decodeDER(cert, _ string) ([][]byte, error) {
	der, err := decodeBase64(cert)
	if err != nil {
		return nil, err
	}
	return [][]byte{der}, nil
}

// decodeListedDER reads base64 of each certificate's DER, with commas between.
func decodeListedDER(cert, _ string) ([][]byte, error) {
	if strings.Count(cert, ",") >= maxCertificates {
		return nil, faultMany
	}
	var out [][]byte
	for text := range strings.SplitSeq(cert, ",") {
		der, err := decodeBase64(text)
		if err != nil {
			return nil, err
		}
		out = append(out, der)
	}
	return out, nil
}

// decodeJoinedDER reads base64 of certificates' DER, one behind the other, the
// leaf's and its issuers'.
func decodeJoinedDER(cert, chain string) ([][]byte, error) {
	var out [][]byte
	for _, text := range []string{cert, chain} {
		if text == "" {
			continue
		}
		rest, err := decodeBase64(text)
		if err != nil {
			return nil, err
		}
		for len(rest) > 0 {
			if len(out) == maxCertificates {
				return nil, faultMany
			}
			var one asn1.RawValue
			after, err := asn1.Unmarshal(rest, &one)
			if err != nil {
				return nil, faultDER
			}
			out = append(out, one.FullBytes)
			rest = after
		}
	}
	return out, nil
}
