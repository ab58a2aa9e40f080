package certmap

import (
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// look adds the mappings of one level that match.
func (f *tally) look(k kind) {
	if f.table.counts[k] == 0 && !(k == bySubjectPattern && f.table.counts[byURIPattern] > 0) {
		return
	}
	leaf := f.v.Leaf()
	var space [512]byte // keys are made on the stack
	buffer := space[:0]
	switch k {
	case byFingerprint:
		d := f.v.Fingerprint()
		f.same(k, d[:], nil)
	case bySPKI:
		d := f.v.SPKI()
		f.same(k, d[:], nil)
	case bySerial:
		var digits [20]byte
		if key, ok := serialKey(&digits, leaf.SerialNumber); ok {
			f.same(k, key, nil)
		}
	case byURI:
		if uri, err := soleURI(leaf); err == nil && len(uri) <= maxURI {
			f.same(k, uri, nil)
		}
	case byDNS:
		for name, rest, ok := nextName(generalNames(leaf), sanDNS); ok; name, rest, ok = nextName(rest, sanDNS) {
			if dnsName(name) { // a wildcard is none
				f.same(k, appendLower(buffer, name), nil)
			}
		}
	case byEmail:
		for address, rest, ok := nextName(generalNames(leaf), sanEmail); ok; address, rest, ok = nextName(rest, sanEmail) {
			if at, ok := splitEmail(address); ok {
				f.same(k, appendEmailKey(buffer, address, at), nil)
			}
		}
	case bySubject:
		if name, err := appendSubject(buffer, leaf.RawSubject); err == nil {
			f.same(k, name, nil)
		}
	case bySubjectPattern:
		f.subjectPatterns()
		f.uriPatterns()
	}
}

// subjectPatterns looks once for each attribute that a pattern may capture.
func (f *tally) subjectPatterns() {
	if f.table.counts[bySubjectPattern] == 0 {
		return
	}
	var space [512]byte
	name, err := appendSubject(space[:0], f.v.Leaf().RawSubject)
	if err != nil {
		return
	}
	for _, s := range attributesOf(name) {
		oid := name[s.oid:s.size]
		if f.table.places[place{oid: string(oid)}] == 0 || !soleType(name, string(oid)) {
			continue
		}
		if user := name[s.value:s.end]; username.IsUser(user) {
			f.same(bySubjectPattern, appendPatternKey(nil, name, s), user)
		}
	}
}

// uriPatterns looks once for each segment that a pattern may capture.
func (f *tally) uriPatterns() {
	if f.table.counts[byURIPattern] == 0 {
		return
	}
	uri, err := soleURI(f.v.Leaf())
	if err != nil {
		return
	}
	var space [512]byte
	for n, at := range segmentsOf(uri) {
		if f.table.places[place{segment: n}] == 0 {
			continue
		}
		key := append(space[:0], uri[:at[0]]...)
		key = append(key, captured...)
		f.same(byURIPattern, append(key, uri[at[1]:]...), uri[at[0]:at[1]])
	}
}
