package certmap

import (
	"bytes"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// entry is a mapping as a table holds it: 48 bytes and its text.
type entry struct {
	text     string // id, user, key, and the value as it was written where the key does not tell
	with     *terms
	hash     uint32 // of kind and key
	nextKey  uint32 // position + 1 of the next entry whose key is in the same slot
	nextID   uint32 // the same for the id
	line     uint32
	idLen    uint16
	userLen  uint16
	keyLen   uint16
	kind     kind // none: removed
	disabled bool
}

// terms is what many mappings have in common, and is kept once.
type terms struct {
	issuer    trust.Digest
	ports     string // each between NULs; empty: all
	notBefore time.Time
	notAfter  time.Time
	file      string
}

func (e *entry) id() string   { return e.text[:e.idLen] }
func (e *entry) user() string { return e.text[e.idLen:][:e.userLen] }
func (e *entry) key() string  { return e.text[int(e.idLen)+int(e.userLen):][:e.keyLen] }

// written is the value as the operator wrote it.
func (e *entry) written() string {
	if w := e.text[int(e.idLen)+int(e.userLen)+int(e.keyLen):]; w != "" {
		return w
	}
	return printKey(e.kind, e.key())
}

// printKey writes a key as users.yaml would have it.
func printKey(k kind, key string) string {
	switch k {
	case byFingerprint, bySPKI:
		return trust.Digest([]byte(key)).String()
	case bySerial:
		return strings.ToUpper(new(big.Int).SetBytes([]byte(key)).Text(16))
	case bySubject, bySubjectPattern:
		return Name{key}.String()
	case byURIPattern:
		before, after, _ := strings.Cut(key, captured)
		return before + UserVariable + after
	}
	return key
}

// mapping gives back what New or Put was given.
func (e *entry) mapping() Mapping {
	m := Mapping{
		ID: e.id(), User: e.user(),
		Issuer: e.with.issuer, Ports: e.with.portList(),
		NotBefore: e.with.notBefore, NotAfter: e.with.notAfter,
		Disabled: e.disabled, File: e.with.file, Line: int(e.line),
	}
	switch e.kind {
	case byFingerprint:
		m.Fingerprint = trust.Digest([]byte(e.key()))
	case bySPKI:
		m.SPKI = trust.Digest([]byte(e.key()))
	case bySerial:
		m.Serial = new(big.Int).SetBytes([]byte(e.key()))
	case byURI, byURIPattern:
		m.URI = e.written()
	case byDNS:
		m.DNS = e.written()
	case byEmail:
		m.Email = e.written()
	case bySubject, bySubjectPattern:
		m.Subject = e.written()
	}
	return m
}

// is reports whether the entry is of this kind and key. The hash is compared
// first, so that a chain is walked without touching texts.
func (e *entry) is(k kind, hash uint32, key []byte) bool {
	return e.hash == hash && e.kind == k && e.key() == string(key)
}

// joinPorts is the form of terms.ports.
func joinPorts(ports []string) string {
	if len(ports) == 0 {
		return ""
	}
	return "\x00" + strings.Join(ports, "\x00") + "\x00"
}

func (t *terms) portList() []string {
	if t.ports == "" {
		return nil
	}
	return strings.Split(t.ports[1:len(t.ports)-1], "\x00")
}

// onPort reports whether the mapping is there on a port.
func (t *terms) onPort(port string) bool {
	for rest := t.ports; len(rest) > 1; {
		end := strings.IndexByte(rest[1:], 0) + 1
		if rest[1:end] == port {
			return true
		}
		rest = rest[end:]
	}
	return t.ports == ""
}

// issued reports whether the mapping's issuer stands behind v: the direct issuer
// for a serial number, which means nothing under another, else any CA of the chain.
// A pin needs none, and where it has one, that counts too.
func (e *entry) issued(v trust.Verified) bool {
	switch e.kind {
	case byFingerprint, bySPKI:
		return e.with.issuer.IsZero() || trustaccess.IssuedUnder(v, e.with.issuer)
	case bySerial:
		return trustaccess.IssuedBy(v, e.with.issuer)
	}
	return trustaccess.IssuedUnder(v, e.with.issuer)
}

// inForce reports whether now is within the mapping's dates, both included.
func (t *terms) inForce(now time.Time) bool {
	return (t.notBefore.IsZero() || !now.Before(t.notBefore)) && (t.notAfter.IsZero() || !now.After(t.notAfter))
}

// boundary is the next instant, from now on, at which inForce may change.
func (t *terms) boundary(now time.Time) time.Time {
	switch {
	case now.Before(t.notBefore):
		return t.notBefore
	case !t.notAfter.IsZero() && !now.After(t.notAfter):
		return t.notAfter
	}
	return time.Time{}
}

// meets reports whether two mappings can be in force on one port at one instant.
func (t *terms) meets(o *terms) bool {
	if !t.notAfter.IsZero() && !o.notBefore.IsZero() && t.notAfter.Before(o.notBefore) ||
		!o.notAfter.IsZero() && !t.notBefore.IsZero() && o.notAfter.Before(t.notBefore) {
		return false
	}
	if t.ports == "" || o.ports == "" || t.ports == o.ports {
		return true
	}
	return slices.ContainsFunc(t.portList(), o.onPort)
}

// serialKey returns a positive serial number's bytes, shortest first form, in
// buffer. Others have none.
func serialKey(buffer *[20]byte, n *big.Int) ([]byte, bool) {
	if n == nil || n.Sign() <= 0 || n.BitLen() > 8*len(buffer) {
		return nil, false
	}
	return bytes.TrimLeft(n.FillBytes(buffer[:]), "\x00"), true
}
