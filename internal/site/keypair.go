package site

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
)

// certificate reads a port's certificate and key, both or neither.
func (l *loader) certificate(path string, p config.Port, out *Port) {
	certName, keyName := l.files.Beside(path, p.Cert.Value), l.files.Beside(path, p.Key.Value)
	certPEM, ok := l.need(p.Cert.In(path), certName)
	keyPEM, okKey := l.need(p.Key.In(path), keyName)
	l.files.Whole(certName)
	l.files.Whole(keyName)
	if !ok || !okKey {
		return
	}
	if err := checkCertificates(certName, certPEM); err != nil {
		l.wrong.Merge(err, configerror.Error{File: certName})
		return
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		if l.changed(certName) != l.changed(keyName) && strings.Contains(err.Error(), "does not match") { // crypto/tls has no value for this error
			l.halfRenewed++
		}
		l.wrong.Add(configerror.Error{File: keyName, Line: 1, What: fmt.Sprintf("the key of port %s cannot be used: %s", p.Name, err),
			Hint: "it must be the key of the first certificate in " + certName})
		return
	}
	out.Config.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }
	out.certificateFile = certName
	out.CertificateDigest = sha256.Sum256(slices.Concat(certPEM, []byte{0}, keyPEM))
}

// checkCertificates rejects files that crypto/tls would read in part: a file that was cut
// off within an intermediate. Text and other blocks may stand around the certificates.
func checkCertificates(name string, data []byte) error {
	found := false
	err := pemfile.Each(name, data, func(b pemfile.Block) error {
		if b.Label != "CERTIFICATE" {
			return nil
		}
		found = true
		if _, err := x509.ParseCertificate(b.Bytes); err != nil {
			return &configerror.Error{File: name, Line: b.Line, What: "the certificate cannot be read: " + err.Error(), Hint: "openssl x509 -in FILE -noout -text may show the error"}
		}
		return nil
	})
	if err == nil && !found {
		err = &configerror.Error{File: name, Line: 1, What: "the file holds no certificate", Hint: "a PEM file with the certificate of the port, and its intermediates after it"}
	}
	return err
}
