package audit

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

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
	fields      record
	line        []byte
	fingerprint trust.Digest
	issuer      *x509.Certificate // named in the fields: the same leaf may come with another chain
}

// certificateCache keeps the fields of verified certificates: making them costs more than the
// decision. A certificate that is not verified never gets here, so a stranger cannot fill
// the cache. The zero value is ready.
//
// It takes no lock, and a full one is never emptied. Each certificate has two slots, which its
// fingerprint chooses. One that loses a slot to another soon finds its second slot free, as
// in cuckoo hashing, as long as not more than half of the slots are in use.
type certificateCache [certificateSlots]atomic.Pointer[certificateFields]

const certificateSlots = 8192

func (c *certificateCache) slots(fingerprint trust.Digest) [2]*atomic.Pointer[certificateFields] {
	first, second := binary.LittleEndian.Uint16(fingerprint[0:]), binary.LittleEndian.Uint16(fingerprint[2:])
	return [...]*atomic.Pointer[certificateFields]{&c[first%certificateSlots], &c[second%certificateSlots]}
}

// fieldsOf returns the fields of a verified certificate.
func (c *certificateCache) fieldsOf(v trust.Verified) *certificateFields {
	fingerprint, issuer := v.Fingerprint(), v.Issuer()
	slots := c.slots(fingerprint)
	for _, slot := range slots {
		if k := slot.Load(); k != nil && k.fingerprint == fingerprint && sameCertificate(k.issuer, issuer) {
			return k
		}
	}
	return c.makeFields(v)
}

// makeFields makes the fields of a certificate and keeps them. It is apart from fieldsOf, and
// not inlined: its variables would take a quarter of a kilobyte of every request's stack.
//
//go:noinline
func (c *certificateCache) makeFields(v trust.Verified) *certificateFields {
	fingerprint, issuer := v.Fingerprint(), v.Issuer()
	slots := c.slots(fingerprint)
	r := recordOf(v.Leaf(), fingerprint)
	if issuer != nil {
		r.add("issuer_fingerprint", trust.FingerprintOf(issuer).String())
	}
	k := &certificateFields{fields: r, fingerprint: fingerprint, issuer: issuer}
	for _, f := range r {
		k.line = appendField(k.line, f.Key, f.Value.String())
	}
	for _, slot := range slots {
		if slot.CompareAndSwap(nil, k) {
			return k
		}
	}
	slots[rand.IntN(len(slots))].Store(k)
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
