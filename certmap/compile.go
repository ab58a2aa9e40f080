package certmap

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

const (
	maxID    = 256 // bytes
	maxPorts = 256
)

// compiled is a mapping that is correct by itself, ready to become an entry.
type compiled struct {
	kind     kind
	key      []byte
	written  string // the value as written, if the key does not give it back
	id, user string
	terms    terms
	line     int
	disabled bool
}

// compile checks a mapping by itself. It reports every error, and returns false if there
// was one.
func compile(r *report, at *origin, m *Mapping) (c compiled, ok bool) {
	ok = true
	reject := func(f field, what, hint string) {
		r.Add(at.err(f, what, hint))
		ok = false
	}
	if what, hint := checkID(m.ID); what != "" {
		reject(fieldID, what, hint)
	}
	c = compiled{
		id: m.ID, user: m.User, line: max(m.Line, 0), disabled: m.Disabled,
		terms: terms{issuer: m.Issuer, ports: joinPorts(m.Ports), notBefore: m.NotBefore.Round(0), notAfter: m.NotAfter.Round(0), file: m.File},
	}
	var correct bool
	c.kind, correct = compileKind(m, &c, reject)
	// A pattern with an error still explains a user {user}.
	if what, hint := checkUser(m.User, c.kind.isPattern() || !correct); what != "" {
		reject(fieldUser, what, hint)
	}
	if c.kind != noKind {
		checkIssuer(m, c.kind, reject)
	}
	checkPorts(m.Ports, reject)
	if !m.NotBefore.IsZero() && !m.NotAfter.IsZero() && m.NotAfter.Before(m.NotBefore) {
		reject(fieldNotAfter, "not_after is before not_before: the mapping would never be valid", "")
	}
	return c, ok
}

const kindsHint = "one of fingerprint, spki, serial, uri, dns, email, subject"

// compileKind sets key and written, and returns false if they are not usable. The
// kind is noKind if the mapping does not hold exactly one.
func compileKind(m *Mapping, c *compiled, reject func(field, string, string)) (kind, bool) {
	k, several := kindOf(m)
	if len(several) > 0 {
		reject(noField, "a mapping has one kind, and this has "+strings.Join(several, ", "), "make it several mappings of the same user: "+kindsHint)
		return noKind, false
	}
	var err error
	var buffer [20]byte
	f, hint := noField, ""
	exact := k // or the kind of a pattern
	switch k {
	case noKind:
		reject(noField, "the mapping names no certificate", kindsHint)
		return noKind, false
	case byFingerprint:
		c.key = m.Fingerprint[:]
	case bySPKI:
		c.key = m.SPKI[:]
	case bySerial:
		key, positive := serialKey(&buffer, m.Serial)
		if !positive {
			reject(fieldSerial, "a serial number is positive and has at most 20 bytes (RFC 5280 section 4.1.2.2)", "as openssl x509 -serial prints it")
			return k, false
		}
		c.key = key
	case byURI:
		f, hint = fieldURI, "the URI of the certificate, byte for byte: spiffe://acme/orders"
		c.written = m.URI
		exact, c.key, err = compileURI(m.URI)
	case byDNS:
		f, hint = fieldDNS, "orders.acme.example"
		c.written = m.DNS
		c.key = san.AppendDNSKey(nil, m.DNS)
		err = san.CheckDNS(m.DNS)
	case byEmail:
		f, hint = fieldEmail, "alice@acme.example"
		c.written = m.Email
		if at, ok := san.SplitEmail(m.Email); ok {
			c.key = san.AppendEmailKey(nil, m.Email, at)
		} else {
			err = errEmail
		}
	case bySubject:
		f, hint = fieldSubject, "RFC 4514, the most specific first: CN=alice,OU=Staff,O=Acme"
		c.written = m.Subject
		exact, c.key, err = compileSubject(m.Subject)
	}
	if err != nil {
		reject(f, fieldNames[f]+": "+err.Error(), hint)
		return k, false
	}
	if c.written == formatKey(exact, string(c.key)) || k < byURI {
		c.written = ""
	}
	return exact, true
}

var errEmail = errors.New("not an address: LOCAL@DOMAIN in ASCII, one @, no quotes or blanks")

func checkID(id string) (what, hint string) {
	switch {
	case id == "":
		return "no id", "id: NAME, unique in the file; logs name the mapping by it"
	case len(id) > maxID:
		return fmt.Sprintf("the id has more than %d bytes", maxID), ""
	case !utf8.ValidString(id) || dn.CheckValue(id) != nil:
		return "the id " + escape.Quote(id, escape.Short) + " has characters that do not print", "plain text, no blanks at its ends"
	}
	return "", ""
}

func checkUser(user string, isPattern bool) (what, hint string) {
	switch {
	case user == "":
		return "no user", "user: NAME"
	case user == username.Variable && !isPattern:
		return "the user is {user}, and no value of the mapping captures it", "put {user} in place of one attribute value of subject or one path segment of uri, or name the user"
	case user == username.Variable || username.IsUser(user):
		return "", ""
	case username.Canonical(user) != "":
		return "the user " + escape.Quote(user, escape.Short) + " is reserved", username.ReservedHint
	}
	return "the user " + escape.Quote(user, escape.Short) + " is not a user name", username.Hint
}

func checkIssuer(m *Mapping, k kind, reject func(field, string, string)) {
	if k.needsIssuer() && m.Issuer.IsZero() {
		reject(fieldIssuer, k.String()+" needs an issuer: otherwise any trusted CA could make this user", "issuer: FILE of the CA certificate, or the SHA-256 of its public key")
	}
}

func checkPorts(ports []string, reject func(field, string, string)) {
	if len(ports) > maxPorts {
		reject(fieldPorts, fmt.Sprintf("more than %d ports", maxPorts), "leave ports out for all of them")
		return
	}
	for i, p := range ports {
		switch {
		case p == "" || strings.ContainsRune(p, 0):
			reject(fieldPorts, "the port "+escape.Quote(p, escape.Short)+" is not a port name", "ports: [NAME]")
		case slices.Contains(ports[:i], p):
			reject(fieldPorts, "the port "+escape.Quote(p, escape.Short)+" twice", "name it once")
		}
	}
}

// parseSerial reads a serial number as openssl prints it: hex in either case, with or
// without colons between bytes and 0x in front. It must be positive and have at most 20
// bytes (RFC 5280 section 4.1.2.2).
func parseSerial(text string) (*big.Int, error) {
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
	if digits == "" || len(digits) > 64 || !isHex(digits) {
		return nil, errSerial
	}
	n, ok := new(big.Int).SetString(digits, 16)
	var buffer [20]byte
	if _, positive := serialKey(&buffer, n); !ok || !positive {
		return nil, errSerial
	}
	return n, nil
}

var errSerial = errors.New("not a serial number: 1 to 20 bytes in hex, with or without colons, greater than 0")

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdefABCDEF") == "" }
