package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// demoLife is the lifetime of a demo's certificates. It is short, so that none is kept in
// use.
const demoLife = 90 * 24 * time.Hour

// authority is a CA of a demo. Its key is not written, so no more certificates can be
// issued.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// demoPKI returns the certificates and keys of a demo, by file name.
func demoPKI(now time.Time) (map[string][]byte, error) {
	files := map[string][]byte{}
	m := certificateMaker{files: files, now: now}
	servers, clients, others := m.authority("server-ca", "Demo Server CA"), m.authority("client-ca", "Demo Client CA"), m.authority("", "Demo Client CA")
	m.leaf("server", servers, &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	})
	staff := func(name string) pkix.Name {
		return pkix.Name{CommonName: name, OrganizationalUnit: []string{"Staff"}, Organization: []string{"Acme"}}
	}
	m.leaf("alice", clients, &x509.Certificate{Subject: staff("alice"), EmailAddresses: []string{"alice@acme.example"}})
	m.leaf("admin", clients, &x509.Certificate{Subject: staff("admin")})
	m.bundle("admin")
	m.leaf("bob", clients, &x509.Certificate{Subject: staff("bob")})
	m.leaf("orders", clients, &x509.Certificate{
		Subject: pkix.Name{CommonName: "orders", Organization: []string{"Acme"}},
		URIs:    []*url.URL{{Scheme: "spiffe", Host: "acme", Path: "/ns/prod/sa/orders"}},
	})
	m.leaf("stranger", clients, &x509.Certificate{Subject: pkix.Name{CommonName: "stranger", Organization: []string{"Elsewhere"}}})
	m.leaf("expired", clients, &x509.Certificate{Subject: staff("alice"), NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(-24 * time.Hour)})
	m.leaf("untrusted", others, &x509.Certificate{Subject: staff("alice")})
	return files, m.err
}

// certificateMaker issues certificates. It does nothing after the first error.
type certificateMaker struct {
	files map[string][]byte
	now   time.Time
	err   error
}

func (m *certificateMaker) authority(file, name string) *authority {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{"Acme"}}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	key := m.key()
	cert := m.sign(template, &authority{template, key}, key)
	if file != "" && m.err == nil {
		m.files[file+".pem"] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	}
	return &authority{cert, key}
}

func (m *certificateMaker) leaf(file string, by *authority, template *x509.Certificate) {
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	if template.ExtKeyUsage == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	key := m.key()
	cert := m.sign(template, by, key)
	if m.err != nil {
		return
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		m.fail(err)
		return
	}
	m.files[file+".pem"] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	m.files[file+"-key.pem"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// bundle adds the certificate and the key of a leaf as one PKCS#12 file, which browsers take.
func (m *certificateMaker) bundle(file string) {
	if m.err != nil {
		return
	}
	pair, err := tls.X509KeyPair(m.files[file+".pem"], m.files[file+"-key.pem"])
	if err != nil {
		m.fail(err)
		return
	}
	m.files[file+".p12"], err = pkcs12.Modern.Encode(pair.PrivateKey, pair.Leaf, nil, demoPassword)
	m.fail(err)
}

func (m *certificateMaker) key() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	m.fail(err)
	return key
}

func (m *certificateMaker) sign(template *x509.Certificate, by *authority, key *ecdsa.PrivateKey) *x509.Certificate {
	if m.err != nil {
		return template
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	m.fail(err)
	template.SerialNumber = serial
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = m.now.Add(-time.Hour), m.now.Add(demoLife)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	m.fail(err)
	if m.err != nil {
		return template
	}
	cert, err := x509.ParseCertificate(der)
	m.fail(err)
	return cert
}

func (m *certificateMaker) fail(err error) {
	if err != nil && m.err == nil {
		m.err = fmt.Errorf("the certificates of the demo cannot be issued: %w", err)
	}
}
