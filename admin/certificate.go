package admin

import (
	"crypto/x509"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/trust"
)

// certificate is a certificate that refusals of one ring share.
type certificate struct {
	fingerprint trust.Digest
	der         []byte
	refusals    int // guarded by the ring

	once        sync.Once
	description report.Certificate // set by once, at most maxDescription bytes
}

// Bounds of the description of a certificate. A stranger may present one with a name or a serial
// number of many kilobytes, again and again.
const (
	maxName        = 256
	maxSerial      = 64
	maxDescription = 2*(maxName+len("…")) + maxSerial + len("…") + 2*len(trust.Digest{}) + 2*len("2006-01-02T15:04:05Z")
)

// describe returns the description of a certificate. It is made once: lists have the same
// certificate many times, and one with thousands of names takes milliseconds to parse.
func (c *certificate) describe() *report.Certificate {
	c.once.Do(func() {
		if parsed, err := x509.ParseCertificate(c.der); err == nil { // it was parsed before
			c.description = *shortCertificate(parsed)
		}
	})
	return &c.description
}

// shortCertificate returns the description of a certificate that a stranger may have sent, with
// texts that fit into a list.
func shortCertificate(c *x509.Certificate) *report.Certificate {
	out := report.NewCertificate(c)
	out.Subject, out.Issuer, out.Serial = shorten(out.Subject, maxName), shorten(out.Issuer, maxName), shorten(out.Serial, maxSerial)
	return out
}

// shorten returns a copy of a text of at most n bytes, and a mark if it was longer.
func shorten(text string, n int) string {
	if len(text) <= n {
		return strings.Clone(text)
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…" // a new string: it does not keep the whole
}
