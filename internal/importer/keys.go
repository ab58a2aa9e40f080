package importer

import (
	"crypto/x509"
	"errors"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
)

// Key is a text by which a program looks a certificate up.
type Key struct {
	Kind  string                             // of the mapping: subject, serial or fingerprint
	Text  func(*Certificate) (string, bool)  // the text of a certificate, or false if it is not known
	Parse func(text string) (dn.Name, error) // of a subject; nil: the text names no subject alone
	Dead  func(text string) string           // why a text matches no certificate, or ""; may be nil
	Fold  bool                               // upper and lower case are alike
}

// Keys finds the mappings of exact keys.
type Keys struct {
	Key
	in    *Import
	known map[string][]*Certificate // by text
}

// NewKeys returns the mappings of a key. Certificates at hand that none of the authorities issued
// are not among them: the program refuses these. Add the authorities before.
func (in *Import) NewKeys(k Key) *Keys {
	out := &Keys{Key: k, in: in, known: map[string][]*Certificate{}}
	for _, c := range in.Certificates.All() {
		if text, ok := k.Text(c); ok && in.IssuedUnder(c) {
			out.known[out.fold(text)] = append(out.known[out.fold(text)], c)
		}
	}
	return out
}

func (k *Keys) fold(text string) string {
	if k.Fold {
		return FoldASCII(text)
	}
	return text
}

// Mappings returns the mappings of a user by a text. dead is why the text matches no certificate
// there; why is why it is not carried.
func (k *Keys) Mappings(text, user string) (out []Mapping, dead, why, hint string) {
	known := k.known[k.fold(text)]
	if k.Dead != nil && len(known) == 0 {
		if dead = k.Dead(text); dead != "" {
			return nil, dead, "", ""
		}
	}
	switch {
	case k.Kind == "serial":
		return k.serials(strings.ToUpper(text), user, known)
	case k.Kind == "subject" && k.Parse != nil:
		return k.subjects(text, user, known)
	case len(known) > 0:
		for _, c := range known {
			out = append(out, c.Fingerprint(user))
		}
		return out, "", "", ""
	case k.Kind == "fingerprint" && len(text) == 64:
		return []Mapping{{User: user, Kind: "fingerprint", Value: "sha256:" + FoldASCII(text)}}, "", "", ""
	case k.Kind == "fingerprint":
		return nil, "", "a SHA-1 does not name a certificate safely, and no certificate of --certs has it", "--certs FOLDER with the certificate"
	}
	return nil, "", "a common name alone names no certificate: several authorities and units may give it, and no certificate of --certs has it", "--certs FOLDER with the certificate"
}

func (k *Keys) serials(serial, user string, known []*Certificate) (out []Mapping, dead, why, hint string) {
	if len(known) == 0 {
		known = append(known, nil)
	}
	for _, c := range known {
		out, why, hint = k.add(out, Mapping{User: user, Kind: "serial", Value: serial}, c)
	}
	return out, "", why, hint
}

func (k *Keys) subjects(text, user string, known []*Certificate) (out []Mapping, dead, why, hint string) {
	for _, c := range known {
		if name, err := dn.FromDER(c.Cert.RawSubject); err == nil {
			out, why, hint = k.add(out, Mapping{User: user, Kind: "subject", Value: name.String()}, c)
		}
	}
	name, err := k.Parse(text)
	switch {
	case err == nil && len(known) == 0:
		out, why, hint = k.add(out, Mapping{User: user, Kind: "subject", Value: name.String()}, nil)
	case err == nil:
		out, why, hint = k.add(out, Mapping{User: user, Kind: "subject", Value: name.String()}, known[0])
	case len(known) == 0 && errors.Is(err, ErrNotOpenSSL):
		return nil, err.Error(), "", ""
	case len(known) == 0:
		return nil, "", err.Error(), "--certs FOLDER with the certificate"
	}
	return out, "", why, hint
}

// add adds a mapping under the issuer of a certificate, unless there is the same already.
func (k *Keys) add(all []Mapping, m Mapping, leaf *Certificate) (out []Mapping, why, hint string) {
	if m.Issuer, why, hint = k.in.FindIssuer(leaf); m.Issuer == nil {
		return all, why, hint
	}
	for i := range all {
		if all[i].Same(m) {
			return all, "", ""
		}
	}
	return append(all, m), "", ""
}

// OpenSSLKey is the subject as OpenSSL writes it by RFC 2253.
func OpenSSLKey(fold bool) Key {
	return Key{Kind: "subject", Fold: fold, Text: func(c *Certificate) (string, bool) { return OpenSSLText(c.Cert) },
		Parse: func(text string) (dn.Name, error) { return ParseOpenSSL(text, fold) }}
}

// SlashKey is the subject in the older form of OpenSSL; see SlashText.
func SlashKey(fold, raw bool) Key {
	return Key{Kind: "subject", Fold: fold, Text: func(c *Certificate) (string, bool) { return SlashText(c.Cert, raw) },
		Parse: func(text string) (dn.Name, error) { return ParseSlash(text, fold, raw) }}
}

// DigestKey is the SHA-1 or SHA-256 in hex, in lower or upper case.
func DigestKey(fold, sha256, upper bool) Key {
	digits, name, text := 40, "SHA-1", (*Certificate).SHA1
	if sha256 {
		digits, name, text = 64, "SHA-256", func(c *Certificate) string { return strings.TrimPrefix(c.Fingerprint("").Value, "sha256:") }
	}
	return Key{Kind: "fingerprint", Fold: fold, Text: func(c *Certificate) (string, bool) {
		if upper {
			return strings.ToUpper(text(c)), true
		}
		return text(c), true
	}, Dead: func(text string) string {
		if len(text) != digits || !isHex(text, fold, upper) {
			return "it is not a " + name + " as it is written there, and matches no certificate"
		}
		return ""
	}}
}

// SerialKey is the serial number in upper-case hex with an even number of digits.
func SerialKey(fold bool) Key {
	return Key{Kind: "serial", Fold: fold, Text: func(c *Certificate) (string, bool) { return c.Serial(), true }, Dead: func(text string) string {
		if len(text)%2 == 1 || !isHex(text, fold, true) {
			return "it is not a serial number in hex with an even number of digits, as it is written there, and matches no certificate"
		}
		return ""
	}}
}

// CommonNameKey is the first common name of the subject.
func CommonNameKey() Key {
	return Key{Kind: "subject", Text: func(c *Certificate) (string, bool) { return firstCommonName(c.Cert) }}
}

func firstCommonName(c *x509.Certificate) (string, bool) {
	all, _ := attributes(c.RawSubject)
	for _, a := range all {
		if typeNames[a.OID] == "CN" {
			return a.Value, true
		}
	}
	return "", false
}

// isHex reports whether a text is hex in one case of letters, or in both.
func isHex(text string, fold, upper bool) bool {
	digits := "0123456789abcdef"
	switch {
	case fold:
		digits += "ABCDEF"
	case upper:
		digits = strings.ToUpper(digits)
	}
	return text != "" && strings.Trim(text, digits) == ""
}
