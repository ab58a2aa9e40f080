package outbound

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/alias"
	"github.com/mtlsguard/mtlsguard/internal/certchain"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// Credential is a certificate chain with its private key, under an alias. It is immutable
// and safe for concurrent use. It prints as its alias and fingerprint, never as its key.
type Credential struct {
	alias   string
	pair    tls.Certificate
	origins []origin
	content key // SHA-256 of alias and chain; never zero

	fingerprint         string // SHA-256 of the leaf, in lower-case hex
	notBefore, notAfter int64  // Unix seconds, inclusive (RFC 5280 section 4.1.2.5)
	chainNotAfter       time.Time
}

const maxChain = 10 // certificates

// NewCredential returns a credential. The private key is any crypto.Signer, in memory or
// elsewhere. With origins ("https://api.partner.example:8443"), calls to any other origin
// fail before anything is dialled.
//
// All errors are reported at once: a key that is not the leaf's, a chain that is out of
// order, a certificate that is not for client authentication. The dates are checked when a
// call is made, so that next year's certificate can be added early.
func NewCredential(name string, c tls.Certificate, origins ...string) (*Credential, error) {
	var wrong errorlist.List
	report := func(what, hint string) {
		wrong.Add(configerror.Error{What: fmt.Sprintf("credential %q: %s", name, what), Hint: hint})
	}
	if !alias.Valid(name) {
		report("this is not an alias", alias.Form)
	}
	out := &Credential{alias: name, pair: tls.Certificate{
		PrivateKey:                   c.PrivateKey,
		SupportedSignatureAlgorithms: slices.Clone(c.SupportedSignatureAlgorithms),
		OCSPStaple:                   bytes.Clone(c.OCSPStaple),
	}}
	for _, der := range c.Certificate {
		out.pair.Certificate = append(out.pair.Certificate, bytes.Clone(der))
	}
	chain := checkChain(out.pair.Certificate, report)
	if len(chain) > 0 {
		out.pair.Leaf, out.chainNotAfter = chain[0], certchain.Earliest(chain).NotAfter
	}
	checkKey(out.pair.Leaf, c.PrivateKey, report)
	for _, text := range origins {
		o, problem := parseOrigin(text)
		if problem != "" {
			report(fmt.Sprintf("origin %q: %s", text, problem), originForm)
			continue
		}
		out.origins = append(out.origins, o)
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	out.precompute()
	return out, nil
}

// checkChain reports errors in a chain and returns its certificates, or nil if they cannot
// be read.
func checkChain(chain [][]byte, report func(what, hint string)) []*x509.Certificate {
	switch {
	case len(chain) == 0:
		report("there is no certificate", "the leaf, then its intermediates")
		return nil
	case len(chain) > maxChain:
		report(fmt.Sprintf("%d certificates", len(chain)), fmt.Sprintf("at most %d", maxChain))
		return nil
	}
	certs := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			report(fmt.Sprintf("certificate %d of the chain cannot be read: %s", i+1, err), "")
			return nil
		}
		certs[i] = cert
		if i > 0 && !bytes.Equal(certs[i-1].RawIssuer, cert.RawSubject) {
			report(fmt.Sprintf("certificate %d of the chain is not the issuer of the one before it", i+1), "the leaf first, then its issuer, and so on")
		}
	}
	leaf := certs[0]
	if leaf.NotAfter.Before(leaf.NotBefore) {
		report("the certificate ends before it begins", "")
	}
	if (len(leaf.ExtKeyUsage) > 0 || len(leaf.UnknownExtKeyUsage) > 0) &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		report("the certificate is not for client authentication", "its extended key usage must name clientAuth, or be absent")
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		report("the certificate's key is not for signatures", "its key usage must name digitalSignature (RFC 8446 section 4.4.2)")
	}
	return certs
}

// checkKey reports a key that is not the leaf's.
func checkKey(leaf *x509.Certificate, key crypto.PrivateKey, report func(what, hint string)) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		report(fmt.Sprintf("the key is a %T, not a crypto.Signer", key), "")
		return
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		report(fmt.Sprintf("a public key of type %T cannot be compared", signer.Public()), "RSA, ECDSA or Ed25519")
		return
	}
	if leaf != nil && !public.Equal(leaf.PublicKey) {
		report("the key is not that of the certificate", "the leaf must be the first certificate of the chain")
	}
}

// precompute computes the values that every call compares.
func (c *Credential) precompute() {
	h := sha256.New()
	add := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b)))) // a certificate is shorter
		h.Write(b)
	}
	add([]byte(c.alias))
	for _, der := range c.pair.Certificate { // the leaf holds the public key
		add(der)
	}
	h.Sum(c.content[:0])
	sum := sha256.Sum256(c.pair.Leaf.Raw)
	c.fingerprint = hex.EncodeToString(sum[:])
	c.notBefore, c.notAfter = c.pair.Leaf.NotBefore.Unix(), c.pair.Leaf.NotAfter.Unix()
}

// Alias returns the alias, which As chooses the credential by.
func (c *Credential) Alias() string { return c.alias }

// Leaf returns the certificate. It must not be changed. For the zero Credential it is nil.
func (c *Credential) Leaf() *x509.Certificate { return c.pair.Leaf }

// NotAfter returns when the first certificate of the chain expires: servers refuse the
// credential from then on, unless they have a newer intermediate themselves. For the zero
// Credential it is zero.
func (c *Credential) NotAfter() time.Time { return c.chainNotAfter }

// validAt reports whether the certificate is valid at a time, in Unix seconds.
func (c *Credential) validAt(seconds int64) bool {
	return c.notBefore <= seconds && seconds <= c.notAfter
}

// mayGoTo reports whether the credential may be presented to an origin.
func (c *Credential) mayGoTo(o origin) bool { return len(c.origins) == 0 || o.in(c.origins) }

// Format implements fmt.Formatter. Every verb prints alias and fingerprint, and none
// prints the key.
func (c Credential) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, c.alias+" sha256:"+c.fingerprint)
}

// LogValue implements slog.LogValuer with alias and fingerprint.
func (c Credential) LogValue() slog.Value {
	return slog.GroupValue(slog.String("alias", c.alias), slog.String("fingerprint", c.fingerprint))
}
