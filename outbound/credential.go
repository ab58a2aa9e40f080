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
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// Credential is a certificate chain with its key, under an alias. It is immutable
// and safe for concurrent use. It prints as alias and fingerprint, never as its key.
type Credential struct {
	alias   string
	pair    tls.Certificate
	origins []origin
	content key    // SHA-256 of alias, chain and key; never zero
	print   string // SHA-256 of the leaf, in hex
	from    int64  // Unix seconds, inclusive
	until   int64
}

const maxChain = 10 // certificates

// NewCredential makes a credential. The key is any crypto.Signer, in memory or
// elsewhere. With origins ("https://api.partner.example:8443"), calls to any other
// are refused before anything is dialled.
//
// Every mistake is reported at once: a key that is not the leaf's, a chain that is
// out of order, a certificate that is not for client authentication. Dates are
// judged when a call is made, so that next year's certificate can be there already.
func NewCredential(alias string, c tls.Certificate, origins ...string) (*Credential, error) {
	var wrong errorlist.List
	say := func(what, hint string) {
		wrong.Add(configerror.Error{What: fmt.Sprintf("credential %q: %s", alias, what), Hint: hint})
	}
	if !ValidAlias(alias) {
		say("this cannot be an alias", "[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
	}
	out := &Credential{alias: alias, pair: tls.Certificate{
		PrivateKey:                   c.PrivateKey,
		SupportedSignatureAlgorithms: slices.Clone(c.SupportedSignatureAlgorithms),
		OCSPStaple:                   bytes.Clone(c.OCSPStaple),
	}}
	for _, der := range c.Certificate {
		out.pair.Certificate = append(out.pair.Certificate, bytes.Clone(der))
	}
	out.pair.Leaf = checkChain(out.pair.Certificate, say)
	checkKey(out.pair.Leaf, c.PrivateKey, say)
	for _, text := range origins {
		o, why := parseOrigin(text)
		if why != "" {
			say(fmt.Sprintf("origin %q: %s", text, why), "https://host or https://host:port")
			continue
		}
		out.origins = append(out.origins, o)
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	out.seal()
	return out, nil
}

// checkChain returns the leaf, or nil where it cannot be read.
func checkChain(chain [][]byte, say func(what, hint string)) *x509.Certificate {
	switch {
	case len(chain) == 0:
		say("there is no certificate", "the leaf, then its intermediates")
		return nil
	case len(chain) > maxChain:
		say(fmt.Sprintf("%d certificates", len(chain)), fmt.Sprintf("at most %d", maxChain))
		return nil
	}
	certs := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			say(fmt.Sprintf("certificate %d of the chain cannot be read: %s", i+1, err), "")
			return nil
		}
		certs[i] = cert
		if i > 0 && !bytes.Equal(certs[i-1].RawIssuer, cert.RawSubject) {
			say(fmt.Sprintf("certificate %d of the chain is not the issuer of the one before it", i+1), "the leaf first, then each one's issuer")
		}
	}
	leaf := certs[0]
	if leaf.NotAfter.Before(leaf.NotBefore) {
		say("the certificate ends before it begins", "")
	}
	if (len(leaf.ExtKeyUsage) > 0 || len(leaf.UnknownExtKeyUsage) > 0) &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		say("the certificate is not for client authentication", "its extended key usage must name clientAuth, or be absent")
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		say("the certificate's key is not for signatures", "its key usage must name digitalSignature (RFC 8446 section 4.4.2)")
	}
	return leaf
}

func checkKey(leaf *x509.Certificate, key crypto.PrivateKey, say func(what, hint string)) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		say(fmt.Sprintf("the key is no crypto.Signer but %T", key), "")
		return
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		say(fmt.Sprintf("a public key of type %T cannot be compared", signer.Public()), "RSA, ECDSA or Ed25519")
		return
	}
	if leaf != nil && !public.Equal(leaf.PublicKey) {
		say("the key is not that of the certificate", "the leaf stands first in the chain")
	}
}

// seal computes what calls compare.
func (c *Credential) seal() {
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
	c.print = hex.EncodeToString(sum[:])
	c.from, c.until = c.pair.Leaf.NotBefore.Unix(), c.pair.Leaf.NotAfter.Unix()
}

// Alias is the name that As chooses it by.
func (c *Credential) Alias() string { return c.alias }

// Leaf is the certificate. It is read-only.
func (c *Credential) Leaf() *x509.Certificate { return c.pair.Leaf }

// Fingerprint is the SHA-256 of the leaf in lower-case hex.
func (c *Credential) Fingerprint() string { return c.print }

// InForce reports whether the certificate is valid at a time (RFC 5280 section
// 4.1.2.5: both ends belong to it).
func (c *Credential) InForce(at time.Time) bool { return c.inForce(at.Unix()) }

func (c *Credential) inForce(seconds int64) bool { return c.from <= seconds && seconds <= c.until }

// goesTo reports whether the credential may be presented to an origin.
func (c *Credential) goesTo(o origin) bool { return len(c.origins) == 0 || o.in(c.origins) }

// String returns alias and fingerprint.
func (c Credential) String() string { return c.alias + " sha256:" + c.print }

// Format implements fmt.Formatter, so that no verb prints the key.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue implements slog.LogValuer.
func (c Credential) LogValue() slog.Value {
	return slog.GroupValue(slog.String("alias", c.alias), slog.String("fingerprint", c.print))
}
