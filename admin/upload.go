package admin

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/pemfile"
	"github.com/mtlsguard/mtlsguard/internal/report"
)

// maxUpload bounds the body of each request, in bytes.
const maxUpload = 64 << 10

var errHasKey = invalid("this file holds a private key; nothing was stored", "send the certificate alone, and treat the key as disclosed if this page is not yours")

// holdsKey reports whether a text holds a private key as PEM.
func holdsKey[T string | []byte](text T) bool {
	return bytes.Contains([]byte(text), []byte("PRIVATE KEY-----"))
}

// readCertificates reads a chain in PEM or DER, the leaf first. A private key in it is an error,
// before anything else is looked at: no request needs one.
func readCertificates(data []byte) ([]*x509.Certificate, error) {
	if holdsKey(data) {
		return nil, errHasKey
	}
	if !bytes.Contains(data, []byte("-----BEGIN ")) {
		return readDER(data)
	}
	var out []*x509.Certificate
	err := pemfile.Each("certificate", data, func(b pemfile.Block) error {
		if strings.Contains(b.Label, "PRIVATE KEY") {
			return errHasKey
		}
		if b.Label != "CERTIFICATE" {
			return invalid(fmt.Sprintf("line %d: a PEM block %q is not a certificate", b.Line, b.Label), "send certificates only")
		}
		if len(out) == maxCertificates {
			return invalid(fmt.Sprintf("there are more than %d certificates", maxCertificates), "send the chain of one certificate")
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return invalid(fmt.Sprintf("line %d: the certificate cannot be parsed", b.Line), "export it again, as PEM or DER")
		}
		out = append(out, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil // never empty: a file with a beginning has a block or an error
}

func readDER(data []byte) ([]*x509.Certificate, error) {
	c, err := x509.ParseCertificate(data)
	if err == nil {
		return []*x509.Certificate{c}, nil
	}
	for _, parse := range []func([]byte) error{
		func(b []byte) error { _, err := x509.ParsePKCS8PrivateKey(b); return err },
		func(b []byte) error { _, err := x509.ParsePKCS1PrivateKey(b); return err },
		func(b []byte) error { _, err := x509.ParseECPrivateKey(b); return err },
	} {
		if parse(data) == nil {
			return nil, errHasKey
		}
	}
	return nil, invalid("this is not a certificate in PEM or DER", "openssl x509 -in FILE prints one as PEM; a PKCS#12 file or a Java keystore holds a key and does not belong here")
}

// readBody reads the whole body of a request.
func (c *call) readBody() ([]byte, error) {
	data, err := io.ReadAll(c.Body) // guarded bounds it
	if err != nil {
		return nil, bodyError(err)
	}
	if holdsKey(data) { // in any field: a user or a note would go into the log
		clear(data)
		return nil, errHasKey
	}
	return data, nil
}

// bodyError returns the failure for a body that cannot be read.
func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &failure{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body has more than %d KiB", maxUpload>>10), Hint: "send one certificate with its chain"}
	}
	return &failure{Status: http.StatusBadRequest, Detail: "the body cannot be read", Hint: "send it again"}
}

// inspect answers with what mappings and profiles need to know of certificates.
func (c *call) inspect() (any, error) {
	data, err := c.readBody()
	if err != nil {
		return nil, err
	}
	defer clear(data)
	all, err := readCertificates(data)
	if err != nil {
		return nil, err
	}
	var out []*report.Inspection
	for _, cert := range all {
		out = append(out, report.Inspect(cert, c.now))
	}
	return out, nil
}
