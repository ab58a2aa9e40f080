package certmap

import (
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// keySize is the size of the buffers for keys. A longer key is allocated.
const keySize = 512

// lookUpKind adds the mappings of one level that match.
func (s *search) lookUpKind(k kind) {
	if s.table.counts[k] == 0 && !(k == bySubjectPattern && s.table.counts[byURIPattern] > 0) {
		return
	}
	leaf := s.v.Leaf()
	var space [keySize]byte // keys are made on the stack
	buffer := space[:0]
	switch k {
	case byFingerprint:
		d := s.v.Fingerprint()
		s.lookUpKey(k, d[:], nil)
	case bySPKI:
		d := s.v.SPKI()
		s.lookUpKey(k, d[:], nil)
	case bySerial:
		var digits [20]byte
		if key, ok := serialKey(&digits, leaf.SerialNumber); ok {
			s.lookUpKey(k, key, nil)
		}
	case byURI:
		if uri, err := san.SoleURI(leaf); err == nil && len(uri) <= san.MaxURI {
			s.lookUpKey(k, uri, nil)
		}
	case byDNS:
		names := san.Read(leaf)
		for name, ok := names.Next(san.DNS); ok; name, ok = names.Next(san.DNS) {
			if san.IsDNS(name) { // a wildcard never names a user
				s.lookUpKey(k, san.AppendDNSKey(buffer, name), nil)
			}
		}
	case byEmail:
		names := san.Read(leaf)
		for address, ok := names.Next(san.Email); ok; address, ok = names.Next(san.Email) {
			if at, ok := san.SplitEmail(address); ok {
				s.lookUpKey(k, san.AppendEmailKey(buffer, address, at), nil)
			}
		}
	case bySubject:
		if key, err := dn.AppendDER(buffer, leaf.RawSubject); err == nil {
			s.lookUpKey(k, key, nil)
		}
	case bySubjectPattern:
		s.lookUpSubjectPatterns()
		s.lookUpURIPatterns()
	}
}

// lookUpSubjectPatterns looks up the subject once for each attribute that a pattern
// captures.
func (s *search) lookUpSubjectPatterns() {
	if s.table.counts[bySubjectPattern] == 0 {
		return
	}
	var space, pattern [keySize]byte
	name, err := dn.AppendDER(space[:0], s.v.Leaf().RawSubject)
	if err != nil {
		return
	}
	for _, at := range dn.Spans(name) {
		oid := string(name[at.OID:at.OIDEnd])
		if s.table.places[place{oid: oid}] == 0 || !dn.HasOnce(name, oid) {
			continue
		}
		if user := name[at.Value:at.ValueEnd]; username.IsUser(user) {
			s.lookUpKey(bySubjectPattern, dn.AppendWithPlaceholder(pattern[:0], name, at), user)
		}
	}
}

// lookUpURIPatterns looks up the URI once for each segment that a pattern captures.
func (s *search) lookUpURIPatterns() {
	if s.table.counts[byURIPattern] == 0 {
		return
	}
	uri, err := san.SoleURI(s.v.Leaf())
	if err != nil {
		return
	}
	var space [keySize]byte
	for n, at := range capturable(uri) {
		if s.table.places[place{segment: n}] == 0 {
			continue
		}
		key := append(space[:0], uri[:at[0]]...)
		key = append(key, dn.Placeholder...)
		s.lookUpKey(byURIPattern, append(key, uri[at[1]:]...), uri[at[0]:at[1]])
	}
}
