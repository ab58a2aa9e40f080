package site

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
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
	if line, what := damaged(certPEM); what != "" {
		l.wrong.Add(configerror.Error{File: certName, Line: line, What: what, Hint: "a PEM file with the certificate of port " + p.Name + ", and its intermediates after it"})
		return
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		l.wrong.Add(configerror.Error{File: keyName, Line: 1, What: fmt.Sprintf("the key of port %s cannot be used: %s", p.Name, err),
			Hint: "it must be the key of the first certificate in " + certName})
		return
	}
	if now := l.now(); now.After(pair.Leaf.NotAfter) {
		l.warn("the certificate of port %s expired at %s", p.Name, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	out.Config.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }
	out.CertificateDigest = sha256.Sum256(slices.Concat(certPEM, []byte{0}, keyPEM))
}

// damaged finds what crypto/tls would pass over in silence: a file that was cut
// off within an intermediate. Text around the blocks, and other blocks, are fine.
func damaged(data []byte) (line int, what string) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return 1 + bytes.Count(data[:i], []byte("\n")), "a NUL byte: this is not text"
	}
	begin := []byte("-----BEGIN CERTIFICATE-----")
	for offset := 0; ; {
		i := bytes.Index(data[offset:], begin)
		if i < 0 {
			if line == 0 {
				return 1, "the file holds no certificate"
			}
			return 0, ""
		}
		start := offset + i
		line = 1 + bytes.Count(data[:start], []byte("\n"))
		end := len(data) // of this block at the latest: where the next begins
		if next := bytes.Index(data[start+len(begin):], begin); next >= 0 {
			end = start + len(begin) + next
		}
		block, _ := pem.Decode(data[start:end])
		if block == nil || block.Type != "CERTIFICATE" || start > 0 && data[start-1] != '\n' {
			return line, "a damaged PEM block"
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return line, "the certificate cannot be read: " + err.Error()
		}
		offset = end
	}
}
