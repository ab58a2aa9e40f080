package certmap

import (
	"bytes"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/trust"
)

// entry is a mapping as a table holds it in a page.
type entry struct {
	text     string // id, user, key, and the value as written if the key does not give it back
	terms    *terms
	line     uint32
	idLen    uint16
	keyLen   uint16
	userLen  uint8
	kind     kind
	disabled bool
}

// terms are the conditions of a mapping. Mappings with equal terms share them.
type terms struct {
	issuer    trust.Digest
	ports     string // each between two NULs; empty means all
	notBefore time.Time
	notAfter  time.Time
	file      string
}

func (e *entry) id() string   { return e.text[:e.idLen] }
func (e *entry) user() string { return e.text[e.idLen:][:e.userLen] }
func (e *entry) key() string  { return e.text[int(e.idLen)+int(e.userLen):][:e.keyLen] }

// written returns the value as the operator wrote it.
func (e *entry) written() string {
	if w := e.text[int(e.idLen)+int(e.userLen)+int(e.keyLen):]; w != "" {
		return w
	}
	return formatKey(e.kind, e.key())
}

// formatKey returns a key as users.yaml holds it.
func formatKey(k kind, key string) string {
	switch k {
	case byFingerprint, bySPKI:
		return trust.Digest([]byte(key)).String()
	case bySerial:
		return strings.ToUpper(new(big.Int).SetBytes([]byte(key)).Text(16))
	case bySubject, bySubjectPattern:
		return dn.FromKey(key).String()
	case byURIPattern:
		before, after, _ := strings.Cut(key, dn.Placeholder)
		return before + username.Variable + after
	}
	return key
}

// mapping returns the mapping that the entry was made from.
func (e *entry) mapping() Mapping {
	m := Mapping{
		ID: e.id(), User: e.user(),
		Issuer: e.terms.issuer, Ports: e.terms.portList(),
		NotBefore: e.terms.notBefore, NotAfter: e.terms.notAfter,
		Disabled: e.disabled, File: e.terms.file, Line: int(e.line),
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

// isFor reports whether the entry has this kind and key.
func (e *entry) isFor(k kind, key string) bool { return e.kind == k && e.key() == key }

// userFor returns the user for a certificate from which a pattern captured this text.
func (e *entry) userFor(captured []byte) string {
	if user := e.user(); user != username.Variable {
		return user
	}
	return string(captured)
}

// isIssuedUnder reports whether the chain of v has the mapping's issuer: as the direct
// issuer for a serial number, which means nothing under another CA, else anywhere. A
// fingerprint or spki mapping may have no issuer.
func (e *entry) isIssuedUnder(v trust.Verified) bool {
	switch e.kind {
	case byFingerprint, bySPKI:
		return e.terms.issuer.IsZero() || trustaccess.IssuedUnder(v, e.terms.issuer)
	case bySerial:
		return trustaccess.IssuedBy(v, e.terms.issuer)
	}
	return trustaccess.IssuedUnder(v, e.terms.issuer)
}

// issuerText returns the issuer for people. The issuer of a trust domain is known by the URI of the
// mapping; a fingerprint has none, and its issuer stays a digest.
func (e *entry) issuerText() string {
	if e.kind == byURI || e.kind == byURIPattern {
		if domain := trustDomain(e.written(), e.terms.issuer); domain != "" {
			return san.SPIFFE + domain
		}
	}
	return e.terms.issuer.String()
}

// joinPorts returns the form of terms.ports.
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

// includePort reports whether the mapping exists on a port.
func (t *terms) includePort(port string) bool {
	for rest := t.ports; len(rest) > 1; {
		end := strings.IndexByte(rest[1:], 0) + 1
		if rest[1:end] == port {
			return true
		}
		rest = rest[end:]
	}
	return t.ports == ""
}

// validAt reports whether now is within the mapping's dates, both included.
func (t *terms) validAt(now time.Time) bool {
	return (t.notBefore.IsZero() || !now.Before(t.notBefore)) && (t.notAfter.IsZero() || !now.After(t.notAfter))
}

// nextChange returns the next instant, from now on, at which validAt may change. Zero means
// never.
func (t *terms) nextChange(now time.Time) time.Time {
	switch {
	case now.Before(t.notBefore):
		return t.notBefore
	case !t.notAfter.IsZero() && !now.After(t.notAfter):
		return t.notAfter
	}
	return time.Time{}
}

// overlap reports whether two mappings can be valid on one port at one instant.
func (t *terms) overlap(o *terms) bool {
	if !t.notAfter.IsZero() && !o.notBefore.IsZero() && t.notAfter.Before(o.notBefore) ||
		!o.notAfter.IsZero() && !t.notBefore.IsZero() && o.notAfter.Before(t.notBefore) {
		return false
	}
	if t.ports == "" || o.ports == "" || t.ports == o.ports {
		return true
	}
	return slices.ContainsFunc(t.portList(), o.includePort)
}

// serialKey returns the bytes of a serial number in buffer, without leading zeros. It
// returns false for a number that is not positive or has more than 20 bytes.
func serialKey(buffer *[20]byte, n *big.Int) ([]byte, bool) {
	if n == nil || n.Sign() <= 0 || n.BitLen() > 8*len(buffer) {
		return nil, false
	}
	return bytes.TrimLeft(n.FillBytes(buffer[:]), "\x00"), true
}
