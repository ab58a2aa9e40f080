package forwarded

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"strings"
)

// maxCertificates is the number of certificates that are read, the leaf included.
const maxCertificates = 10

// decoder returns the DER of the certificates in two header values, leaf first. It
// skips nothing: text that it cannot read is an error. cert is not empty.
type decoder func(cert, chain string) ([][]byte, error)

// headerError is the reason why forwarded headers cannot be read. It never quotes the
// headers, because the client chose their content.
type headerError string

func (e headerError) Error() string { return string(e) }

const (
	errRepeatedHeader headerError = "a gateway's header is repeated"
	errSpelling       headerError = "a header is spelled almost like a gateway's header"
	errTrailer        headerError = "a gateway's header is announced as a trailer"
	errTooLong        headerError = "the gateway's headers are longer than 16 KiB"

	errBase64       headerError = "not base64 (RFC 4648)"
	errSequence     headerError = "not one Byte Sequence (RFC 8941) without parameters"
	errTooMany      headerError = "more than 10 certificates"
	errPercent      headerError = "not percent-encoded PEM"
	errPEM          headerError = "not PEM certificates, or text around them"
	errDER          headerError = "not a certificate"
	errRepeatedLeaf headerError = "the leaf is repeated among its issuers"

	errXFCC        headerError = "not an element of X-Forwarded-Client-Cert"
	errElements    headerError = "more than one element: forward_client_cert_details is not SANITIZE_SET"
	errUnknownKey  headerError = "an unknown key"
	errRepeatedKey headerError = "a repeated key"
	errNoCert      headerError = "an element with neither Cert nor Chain"
	errOtherLeaf   headerError = "Cert is not the first certificate of Chain"
	errHash        headerError = "Hash is not the SHA-256 of the certificate"
)

// parseCertificates parses certificates from DER.
func parseCertificates(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) == 0 || len(ders) > maxCertificates {
		return nil, errTooMany
	}
	out := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		if i > 0 && bytes.Equal(der, ders[0]) {
			return nil, errRepeatedLeaf // RFC 9440 section 2.3
		}
		c, err := x509.ParseCertificate(der)
		if err != nil || len(c.Raw) != len(der) {
			return nil, errDER
		}
		out[i] = c
	}
	return out, nil
}

// decodeBase64 decodes canonical base64 only (RFC 4648 section 3.5), so that a
// certificate has exactly one text.
func decodeBase64(text string) ([]byte, error) {
	if text == "" || strings.ContainsAny(text, "\r\n") { // the decoder would skip line ends
		return nil, errBase64
	}
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errBase64
	}
	return der, nil
}

// decodeDER decodes base64 of the leaf's DER.
func decodeDER(cert, _ string) ([][]byte, error) {
	der, err := decodeBase64(cert)
	if err != nil {
		return nil, err
	}
	return [][]byte{der}, nil
}

// decodeDERList decodes a comma-separated list of base64 of one certificate's DER each.
func decodeDERList(cert, _ string) ([][]byte, error) {
	if strings.Count(cert, ",") >= maxCertificates {
		return nil, errTooMany
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

// decodeConcatenatedDER decodes base64 of concatenated DER: the leaf in one header, its
// issuers in the other.
func decodeConcatenatedDER(cert, chain string) ([][]byte, error) {
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
				return nil, errTooMany
			}
			var one asn1.RawValue
			after, err := asn1.Unmarshal(rest, &one)
			if err != nil {
				return nil, errDER
			}
			out = append(out, one.FullBytes)
			rest = after
		}
	}
	return out, nil
}
