package certmap

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

const (
	maxID    = 256
	maxPorts = 256
)

// compiled is a mapping without a mistake of its own, ready to be an entry.
type compiled struct {
	kind     kind
	key      []byte
	written  string
	place    place
	id, user string
	with     terms
	line     int
	disabled bool
}

// compile judges a mapping by itself. It reports every mistake, and is false where
// there was one.
func compile(r *report, s *source, m *Mapping) (c compiled, ok bool) {
	ok = true
	wrong := func(f field, what, hint string) {
		r.add(s.mistake(f, what, hint))
		ok = false
	}
	if what, hint := checkID(m.ID); what != "" {
		wrong(fieldID, what, hint)
	}
	c = compiled{
		id: m.ID, user: m.User, line: max(m.Line, 0), disabled: m.Disabled,
		with: terms{issuer: m.Issuer, ports: joinPorts(m.Ports), notBefore: m.NotBefore.Round(0), notAfter: m.NotAfter.Round(0), file: m.File},
	}
	var sound bool
	c.kind, sound = compileKind(m, &c, wrong)
	// A pattern with a mistake still says why the user is {user}.
	if what, hint := checkUser(m.User, c.kind.pattern() || !sound); what != "" {
		wrong(fieldUser, what, hint)
	}
	if c.kind != none {
		checkIssuer(m, c.kind, wrong)
	}
	checkPorts(m.Ports, wrong)
	if !m.NotBefore.IsZero() && !m.NotAfter.IsZero() && m.NotAfter.Before(m.NotBefore) {
		wrong(fieldNotAfter, "not_after is before not_before: the mapping would never be in force", "")
	}
	return c, ok
}

const kindsHint = "one of fingerprint, spki, serial, uri, dns, email, subject"

// compileKind fills in key, place and written, and says whether they are sound.
// The kind is none where there is not exactly one.
func compileKind(m *Mapping, c *compiled, wrong func(field, string, string)) (kind, bool) {
	k, several := kindOf(m)
	if len(several) > 0 {
		wrong(fieldNone, "a mapping looks at one thing, and this looks at "+strings.Join(several, ", "), "make it several mappings of the same user: "+kindsHint)
		return none, false
	}
	var err error
	var buffer [20]byte
	f, hint := fieldNone, ""
	exact := k // or the pattern
	switch k {
	case none:
		wrong(fieldNone, "nothing says which certificate it is", kindsHint)
		return none, false
	case byFingerprint:
		c.key = m.Fingerprint[:]
	case bySPKI:
		c.key = m.SPKI[:]
	case bySerial:
		key, positive := serialKey(&buffer, m.Serial)
		if !positive {
			wrong(fieldSerial, "a serial number is positive and has at most 20 bytes (RFC 5280 section 4.1.2.2)", "as openssl x509 -serial prints it")
			return k, false
		}
		c.key = key
	case byURI:
		f, hint = fieldURI, "as the certificate says it, byte for byte: spiffe://acme/orders"
		c.written = m.URI
		exact, c.key, c.place, err = compileURI(m.URI)
	case byDNS:
		f, hint = fieldDNS, "orders.acme.example"
		c.written = m.DNS
		c.key = appendLower(nil, m.DNS)
		err = checkDNS(m.DNS)
	case byEmail:
		f, hint = fieldEmail, "alice@acme.example"
		c.written = m.Email
		if err = checkEmail(m.Email); err == nil {
			c.key = appendEmailKey(nil, m.Email, strings.IndexByte(m.Email, '@'))
		}
	case bySubject:
		f, hint = fieldSubject, "RFC 4514, the most specific first: CN=alice,OU=Staff,O=Acme"
		c.written = m.Subject
		exact, c.key, c.place, err = compileSubject(m.Subject)
	}
	if err != nil {
		wrong(f, fieldNames[f]+": "+err.Error(), hint)
		return k, false
	}
	if c.written == printKey(exact, string(c.key)) || k < byURI {
		c.written = ""
	}
	return exact, true
}

func checkID(id string) (what, hint string) {
	switch {
	case id == "":
		return "no id", "id: a name for the mapping, unique in the file; logs say it"
	case len(id) > maxID:
		return fmt.Sprintf("the id has more than %d bytes", maxID), ""
	case !utf8.ValidString(id) || checkValue(id) != nil:
		return "the id " + escape.Quote(id, escape.Short) + " would not print as it is", "plain text, no blanks at its ends"
	}
	return "", ""
}

func checkIssuer(m *Mapping, k kind, wrong func(field, string, string)) {
	if k.needsIssuer() && m.Issuer.IsZero() {
		wrong(fieldIssuer, k.String()+" needs an issuer: any trusted CA could make this user otherwise", "issuer: FILE of the CA certificate, or the SHA-256 of its public key")
	}
}

func checkPorts(ports []string, wrong func(field, string, string)) {
	if len(ports) > maxPorts {
		wrong(fieldPorts, fmt.Sprintf("more than %d ports", maxPorts), "leave ports out for all of them")
		return
	}
	for i, p := range ports {
		switch {
		case p == "" || strings.ContainsRune(p, 0):
			wrong(fieldPorts, "a port without a name", "ports: [NAME]")
		case slices.Contains(ports[:i], p):
			wrong(fieldPorts, "the port "+escape.Quote(p, escape.Short)+" twice", "")
		}
	}
}

// ParseSerial reads a certificate's serial number as openssl prints it: hex in
// either case, with or without colons between bytes and 0x in front. It must be
// positive and have at most 20 bytes (RFC 5280 section 4.1.2.2).
func ParseSerial(text string) (*big.Int, error) {
	digits := text
	if len(digits) > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X') {
		digits = digits[2:]
	}
	if strings.Contains(digits, ":") {
		for part := range strings.SplitSeq(digits, ":") {
			if len(part) != 2 {
				return nil, errSerial
			}
		}
		digits = strings.ReplaceAll(digits, ":", "")
	}
	if digits == "" || len(digits) > 64 {
		return nil, errSerial
	}
	for i := range len(digits) {
		if unhex(digits[i]) < 0 {
			return nil, errSerial
		}
	}
	n, ok := new(big.Int).SetString(digits, 16)
	var buffer [20]byte
	if _, positive := serialKey(&buffer, n); !ok || !positive {
		return nil, errSerial
	}
	return n, nil
}

var errSerial = errors.New("not a serial number: 1 to 20 bytes in hex are wanted, with or without colons, greater than 0")
