package importer

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/algorithm"
)

const (
	pemBegin = "-----BEGIN CERTIFICATE-----"
	pemEnd   = "-----END CERTIFICATE-----"
)

var (
	errNoCertificate = errors.New("not a certificate in PEM, base64 or hex")
	errCutPEM        = errors.New("a PEM block without its end")
	errTwoLeaves     = errors.New("more than one certificate of a user")
)

// maxCertificateText bounds the certificates in a text of a source.
const maxCertificateText = 1 << 20

// ParseCertificates reads the certificates in a text of a source: PEM, whose line ends may have
// become blanks or \n, or one in base64 or hex of its DER.
func ParseCertificates(text string) (out []*x509.Certificate, err error) {
	text = strings.ReplaceAll(text, `\n`, "\n")
	if len(text) > maxCertificateText {
		return nil, errors.New("a certificate of more than 1 MiB")
	}
	if !strings.Contains(text, pemBegin) {
		c, err := parseBody(text)
		return []*x509.Certificate{c}, err
	}
	for {
		_, rest, more := strings.Cut(text, pemBegin)
		if !more {
			return out, nil
		}
		body, after, ok := strings.Cut(rest, pemEnd)
		if !ok {
			return nil, errCutPEM
		}
		c, err := parseBody(body)
		if err != nil {
			return nil, err
		}
		out, text = append(out, c), after
	}
}

// ParseLeaf reads the certificate of a user in a text. Authorities may stand beside it.
func ParseLeaf(text string) (*x509.Certificate, error) {
	all, err := ParseCertificates(text)
	if err != nil {
		return nil, err
	}
	var leaf *x509.Certificate
	for _, c := range all {
		switch {
		case c.IsCA:
		case leaf != nil:
			return nil, errTwoLeaves
		default:
			leaf = c
		}
	}
	if leaf == nil {
		return nil, errors.New("the certificate of an authority, and not of a user")
	}
	return leaf, nil
}

// parseBody reads a certificate in base64 or hex.
func parseBody(text string) (*x509.Certificate, error) {
	text = strings.Join(strings.Fields(text), "")
	der, err := hex.DecodeString(strings.TrimPrefix(strings.TrimPrefix(text, "0x"), "0X"))
	if err != nil {
		der, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(der) == 0 {
		return nil, errNoCertificate
	}
	return algorithm.ParseCertificate(der)
}
