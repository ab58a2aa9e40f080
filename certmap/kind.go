package certmap

// kind is what a mapping looks at. The order is the precedence: the first kind at
// which any mapping matches decides. The two patterns are one last level.
type kind uint8

const (
	none kind = iota // an entry that was removed
	byFingerprint
	bySPKI
	bySerial
	byURI
	byDNS
	byEmail
	bySubject
	bySubjectPattern
	byURIPattern
	kinds
)

// String is the key of the kind in users.yaml.
func (k kind) String() string {
	switch k {
	case byFingerprint:
		return "fingerprint"
	case bySPKI:
		return "spki"
	case bySerial:
		return "serial"
	case byURI, byURIPattern:
		return "uri"
	case byDNS:
		return "dns"
	case byEmail:
		return "email"
	case bySubject, bySubjectPattern:
		return "subject"
	}
	return "none"
}

// pattern reports whether the kind captures.
func (k kind) pattern() bool { return k == bySubjectPattern || k == byURIPattern }

// level is k, except that both patterns are one.
func (k kind) level() kind {
	if k == byURIPattern {
		return bySubjectPattern
	}
	return k
}

// needsIssuer is true for all that a CA may write as it likes. The others pin the
// leaf or its key, whoever signed it.
func (k kind) needsIssuer() bool { return k != byFingerprint && k != bySPKI }

// kindOf says what m looks at, or lists everything that it looks at where that is
// not exactly one thing.
func kindOf(m *Mapping) (kind, []string) {
	found, named := none, []string(nil)
	for k, given := range [...]bool{
		byFingerprint: !m.Fingerprint.IsZero(),
		bySPKI:        !m.SPKI.IsZero(),
		bySerial:      m.Serial != nil,
		byURI:         m.URI != "",
		byDNS:         m.DNS != "",
		byEmail:       m.Email != "",
		bySubject:     m.Subject != "",
	} {
		if !given {
			continue
		}
		if found != none {
			if named == nil {
				named = append(named, found.String())
			}
			named = append(named, kind(k).String())
		}
		found = kind(k)
	}
	return found, named
}
