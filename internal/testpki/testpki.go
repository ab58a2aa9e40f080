// Package testpki makes certificates for tests: an authority, its leaves, and options that
// change single properties.
//
//	ca := testpki.NewCA("Client CA")
//	alice := ca.Leaf("alice", func(c *x509.Certificate) { c.NotAfter = yesterday })
//
// Its functions panic on errors. Use it only in tests and in the generator of testdata/pki.
package testpki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// Pair is a certificate with its key and its intermediates.
type Pair struct {
	Cert  *x509.Certificate
	Key   crypto.Signer
	Chain []*x509.Certificate // intermediates, the issuer first, without the anchor
}

// Option changes a template before it is signed.
type Option func(*x509.Certificate)

// NewCA makes a self-signed authority.
func NewCA(name string, options ...Option) *Pair {
	return Make(nil, NewKey(), authority(name), options...)
}

// SubCA makes an intermediate authority under p.
func (p *Pair) SubCA(name string, options ...Option) *Pair {
	return Make(p, NewKey(), authority(name), options...)
}

// Leaf makes a client certificate under p: ECDSA P-256, clientAuth, one hour old
// and valid for a day.
func (p *Pair) Leaf(name string, options ...Option) *Pair {
	return p.LeafWithKey(name, NewKey(), options...)
}

// LeafWithKey is Leaf with the given key.
func (p *Pair) LeafWithKey(name string, key crypto.Signer, options ...Option) *Pair {
	return Make(p, key, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, options...)
}

// Server makes a server certificate for 127.0.0.1, ::1 and localhost.
func (p *Pair) Server(options ...Option) *Pair {
	return Make(p, NewKey(), &x509.Certificate{
		Subject:     pkix.Name{CommonName: "localhost"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}, options...)
}

// Make signs a template with the key of issuer, or with its own key if issuer is nil. It sets
// the serial number and the dates if the options left them empty.
func Make(issuer *Pair, key crypto.Signer, template *x509.Certificate, options ...Option) *Pair {
	for _, o := range options {
		o(template)
	}
	now := time.Now()
	if template.SerialNumber == nil {
		template.SerialNumber = must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)))
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = now.Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = now.Add(24 * time.Hour)
	}
	out := &Pair{Key: key}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Cert, issuer.Key
		if issuer.Chain != nil || string(issuer.Cert.RawIssuer) != string(issuer.Cert.RawSubject) {
			out.Chain = append([]*x509.Certificate{issuer.Cert}, issuer.Chain...)
		}
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer))
	out.Cert = must(x509.ParseCertificate(der))
	return out
}

// NewKey makes an ECDSA P-256 key.
func NewKey() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// Presented returns the certificates that a client with p sends in a handshake, leaf first.
func (p *Pair) Presented() []*x509.Certificate {
	return append([]*x509.Certificate{p.Cert}, p.Chain...)
}

// TLS returns p as a certificate of crypto/tls.
func (p *Pair) TLS() tls.Certificate {
	c := tls.Certificate{PrivateKey: p.Key, Leaf: p.Cert}
	for _, cert := range p.Presented() {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// Pool returns a pool with p's certificate only.
func (p *Pair) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.Cert)
	return pool
}

// CertPEM returns the leaf and its intermediates in PEM.
func (p *Pair) CertPEM() []byte {
	var out []byte
	for _, cert := range p.Presented() {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return out
}

// KeyPEM returns the key in PKCS#8 PEM.
func (p *Pair) KeyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(p.Key))})
}

// CRL makes a CRL of p that revokes the given serial numbers. It began an hour ago and ends in
// a day.
func (p *Pair) CRL(number int64, serials []*big.Int, options ...func(*x509.RevocationList)) *x509.RevocationList {
	now := time.Now()
	template := &x509.RevocationList{
		Number:     big.NewInt(number),
		ThisUpdate: now.Add(-time.Hour),
		NextUpdate: now.Add(24 * time.Hour),
	}
	for _, s := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: s, RevocationTime: now.Add(-time.Minute)})
	}
	for _, o := range options {
		o(template)
	}
	der := must(x509.CreateRevocationList(rand.Reader, template, p.Cert, p.Key))
	return must(x509.ParseRevocationList(der))
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotAfter:              time.Now().Add(10 * 365 * 24 * time.Hour),
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic("testpki: " + err.Error())
	}
	return v
}
