package audit

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/trust"
)

// recordOf returns the fields of a leaf, escaped.
func recordOf(leaf *x509.Certificate, fingerprint trust.Digest) record {
	r := make(record, 0, 5)
	r.add("fingerprint", fingerprint.String())
	subject := ""
	if name, err := dn.FromDER(leaf.RawSubject); err == nil {
		subject = name.String()
	} else {
		subject = dn.Print(&leaf.Subject)
	}
	r.add("subject", escape.Printable(subject, maxPeerText))
	r.add("issuer", escape.Printable(dn.Print(&leaf.Issuer), maxPeerText))
	r.add("serial", escape.Printable(serial(leaf), maxPeerText)) // crypto/x509 limits no serial number
	return r
}

// certificateFields are the fields of a certificate: as a record, and as part of a line
// of JSON.
type certificateFields struct {
	fields record
	line   []byte
	issuer *x509.Certificate // named in the fields: the same leaf may come with another chain
}

// fieldsOf returns the fields of a verified certificate from a cache of maxCertificates:
// making them costs more than the decision. A certificate that is not verified never
// gets here, so a stranger cannot fill the cache.
func (e *Logger) fieldsOf(v trust.Verified) *certificateFields {
	key := v.Fingerprint()
	e.mu.RLock()
	k := e.certificates[key]
	e.mu.RUnlock()
	issuer := v.Issuer()
	if k != nil && sameCertificate(k.issuer, issuer) {
		return k
	}
	r := recordOf(v.Leaf(), key)
	if issuer != nil {
		r.add("issuer_fingerprint", trust.FingerprintOf(issuer).String())
	}
	k = &certificateFields{fields: r, issuer: issuer}
	for _, f := range r {
		k.line = appendField(k.line, f.Key, f.Value.String())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.certificates == nil || len(e.certificates) >= maxCertificates {
		e.certificates = map[trust.Digest]*certificateFields{}
	}
	e.certificates[key] = k
	return k
}

func sameCertificate(a, b *x509.Certificate) bool {
	return a == b || a != nil && b != nil && bytes.Equal(a.Raw, b.Raw)
}

// serial returns a serial number as openssl prints it.
func serial(c *x509.Certificate) string {
	s := fmt.Sprintf("%X", c.SerialNumber)
	if len(s)%2 == 1 {
		s = "0" + s
	}
	return s
}
