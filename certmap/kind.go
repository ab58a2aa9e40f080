package certmap

// kind is the property of a certificate that a mapping compares. The order is the
// precedence: the first kind at which any mapping matches decides. The two kinds of
// patterns share the last level.
type kind uint8

const (
	noKind kind = iota
	byFingerprint
	bySPKI
	bySerial
	byURI
	byDNS
	byEmail
	bySubject
	bySubjectPattern
	byURIPattern
	kindCount
)

// String returns the key of the kind in users.yaml.
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

// isPattern reports whether mappings of the kind capture the user.
func (k kind) isPattern() bool { return k == bySubjectPattern || k == byURIPattern }

// rank returns what the kind is in the order of precedence, for people.
func (k kind) rank() string {
	if k.isPattern() {
		return "patterns"
	}
	return k.String()
}

// level returns the kind that stands for k in the order of precedence.
func (k kind) level() kind {
	if k == byURIPattern {
		return bySubjectPattern
	}
	return k
}

// needsIssuer reports whether a CA is free to choose the value of the kind. The other
// kinds identify the leaf or its key, whichever CA signed it.
func (k kind) needsIssuer() bool { return k != byFingerprint && k != bySPKI }

// kindOf returns the kind of m. If m holds several kinds, it returns all their names too.
func kindOf(m *Mapping) (found kind, several []string) {
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
		if found != noKind {
			if several == nil {
				several = append(several, found.String())
			}
			several = append(several, kind(k).String())
		}
		found = kind(k)
	}
	return found, several
}
