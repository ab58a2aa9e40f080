package site

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certchain"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/keypair"
)

// certificate reads a port's certificate and key, both or neither.
func (l *loader) certificate(path string, p config.Port, out *Port) {
	certName, keyName := l.files.Beside(path, p.Cert.Value), l.files.Beside(path, p.Key.Value)
	if !l.onNode(p.Key.In(path), keyName, "key") {
		return
	}
	if l.program.Editor {
		return // see elsewhere
	}
	certDigest, ok := l.digest(p.Cert.In(path), certName)
	keyDigest, okKey := l.digest(p.Key.In(path), keyName)
	l.files.Whole(certName)
	l.files.Whole(keyName)
	if !ok || !okKey {
		return
	}
	pair, ok := keep(l, keyOf("key pair", certDigest, keyDigest), func() (*tls.Certificate, bool) {
		certPEM, ok := l.need(p.Cert.In(path), certName)
		keyPEM, okKey := l.need(p.Key.In(path), keyName)
		if !ok || !okKey {
			return nil, false
		}
		pair, mismatch, err := keypair.Read(" of port "+p.Name, certName, keyName, certPEM, keyPEM)
		if mismatch && l.changed(certName) != l.changed(keyName) {
			l.halfRenewed++
		}
		l.wrong.Merge(err, configerror.Error{File: certName})
		return pair, err == nil
	})
	if !ok {
		return
	}
	out.Config.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil }
	out.certificateFile = certName
	out.CertificateDigest = sha256.Sum256(append(certDigest[:], keyDigest[:]...))
}

// elsewhere stands in for a certificate that is on the nodes only.
func elsewhere(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return nil, errors.New("mtlsguard: the certificate is on another machine")
}

// chainEnd returns the certificate of a port's chain that ends first, in words and parsed.
func chainEnd(port string, pair *tls.Certificate) (what string, first *x509.Certificate) {
	first = certchain.Earliest(Chain(pair))
	if first == nil || first.Equal(pair.Leaf) {
		return "the server's certificate of port " + port, pair.Leaf
	}
	return fmt.Sprintf("the intermediate certificate %q in the chain of port %s", first.Subject.String(), port), first
}

// ChainNotAfter returns when the first certificate of a port's chain ends.
func ChainNotAfter(pair *tls.Certificate) time.Time {
	_, first := chainEnd("", pair)
	return first.NotAfter
}

// Chain returns the certificates of a chain that keypair.Read has parsed before.
func Chain(pair *tls.Certificate) (out []*x509.Certificate) {
	for _, der := range pair.Certificate {
		if c, err := x509.ParseCertificate(der); err == nil {
			out = append(out, c)
		}
	}
	return out
}
