package importer

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// shortNames are OpenSSL's short names of the attribute types that it prints in subjects.
var shortNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description", "2.5.4.15": "businessCategory", "2.5.4.17": "postalCode",
	"2.5.4.41": "name", "2.5.4.42": "GN", "2.5.4.43": "initials", "2.5.4.44": "generationQualifier", "2.5.4.46": "dnQualifier",
	"2.5.4.65": "pseudonym", "2.5.4.97": "organizationIdentifier", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
	"0.9.2342.19200300.100.1.3": "mail", "1.2.840.113549.1.9.1": "emailAddress", "1.2.840.113549.1.9.2": "unstructuredName",
	"1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST", "1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}

// typeNames maps the OIDs of the attribute types in DER to OpenSSL's short names.
var typeNames = func() map[string]string {
	out := map[string]string{}
	for oid, name := range shortNames {
		n, err := dn.Parse(oid + "=x")
		if err != nil {
			panic(err) // an error in the table above
		}
		out[n.RDNs()[0][0].OID] = name
	}
	return out
}()

// attribute is an attribute of a subject in the order of the certificate.
type attribute struct {
	rdn int
	dn.Attribute
}

// attributes returns the attributes of a subject in the order of the certificate. It returns
// false for a subject that no mapping can name, and for one with a type that OpenSSL writes by
// its number.
func attributes(raw []byte) (out []attribute, ok bool) {
	name, err := dn.FromDER(raw)
	if err != nil {
		return nil, false
	}
	rdns := name.RDNs()
	slices.Reverse(rdns)
	ok = true
	dn.Each(raw, func(rdn int, id asn1.ObjectIdentifier, _ der.Tag, _ []byte) bool {
		for i, a := range rdns[rdn] {
			if n, err := dn.Parse(id.String() + "=x"); err == nil && n.RDNs()[0][0].OID == a.OID {
				out = append(out, attribute{rdn, a})
				rdns[rdn] = slices.Delete(rdns[rdn], i, i+1)
				break
			}
		}
		return true
	})
	for i, a := range out {
		if typeNames[a.OID] == "" || i > 0 && out[i-1].rdn == a.rdn && out[i-1].OID == a.OID { // the order of two of a type is not known here
			ok = false
		}
	}
	return out, ok
}

// OpenSSLText returns the subject as OpenSSL writes it by RFC 2253: $ssl_client_s_dn of nginx,
// SSL_CLIENT_S_DN of Apache, ssl_c_s_dn(,0,rfc2253) of HAProxy.
func OpenSSLText(c *x509.Certificate) (string, bool) {
	all, ok := attributes(c.RawSubject)
	var b strings.Builder
	for i, a := range slices.Backward(all) {
		switch {
		case i == len(all)-1:
		case all[i+1].rdn == a.rdn:
			b.WriteByte('+')
		default:
			b.WriteByte(',')
		}
		b.WriteString(openSSLAttribute(a.Attribute))
	}
	return b.String(), ok && len(all) > 0
}

// openSSLAttribute returns TYPE=VALUE with the escapes of OpenSSL.
func openSSLAttribute(a dn.Attribute) string {
	var b strings.Builder
	b.WriteString(typeNames[a.OID] + "=")
	for i := range len(a.Value) {
		c := a.Value[i]
		switch {
		case strings.IndexByte(`,+"\<>;`, c) >= 0, i == 0 && (c == '#' || c == ' '), i == len(a.Value)-1 && c == ' ':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, "\\%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// SlashText returns the subject in the older form of OpenSSL: $ssl_client_s_dn_legacy of nginx, the
// user of Apache's FakeBasicAuth. With raw, bytes beyond ASCII are not escaped, as in
// ssl_c_s_dn of HAProxy.
func SlashText(c *x509.Certificate, raw bool) (string, bool) {
	all, ok := attributes(c.RawSubject)
	var b strings.Builder
	for _, a := range all {
		b.WriteString("/" + typeNames[a.OID] + "=")
		for i := range len(a.Value) {
			if c := a.Value[i]; !raw && (c < ' ' || c > '~') {
				fmt.Fprintf(&b, "\\x%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String(), ok && len(all) > 0
}

var (
	// ErrNotOpenSSL is the error for a text that OpenSSL writes for no subject.
	ErrNotOpenSSL = errors.New("OpenSSL does not write a subject so, and the line matches no certificate there")
	errSet        = errors.New("an RDN of several attributes has an order there, which the text alone does not prove")
)

// ParseOpenSSL reads a subject as OpenSSL writes it by RFC 2253; with fold, in any case of letters.
func ParseOpenSSL(text string, fold bool) (dn.Name, error) {
	name, err := dn.Parse(text)
	if err != nil {
		return dn.Name{}, err
	}
	var parts []string
	for _, set := range name.RDNs() {
		if len(set) > 1 {
			return dn.Name{}, errSet
		}
		if typeNames[set[0].OID] == "" {
			return dn.Name{}, ErrNotOpenSSL
		}
		parts = append(parts, openSSLAttribute(set[0]))
	}
	if written := strings.Join(parts, ","); written != text && !(fold && FoldASCII(written) == FoldASCII(text)) {
		return dn.Name{}, ErrNotOpenSSL
	}
	return name, nil
}

// ParseSlash reads a subject in the older form of OpenSSL, /O=Acme/CN=alice. A slash separates
// attributes only where TYPE= follows it; another one makes the text ambiguous, which is an
// error. With fold, the types are read in any case; with raw, \x is not an escape.
func ParseSlash(text string, fold, raw bool) (dn.Name, error) {
	if !strings.HasPrefix(text, "/") {
		return dn.Name{}, errors.New("no slash begins the subject")
	}
	var parts []string
	for part := range strings.SplitSeq(text[1:], "/") {
		keyword, value, ok := strings.Cut(part, "=")
		typed, err := dn.Parse(keyword + "=x")
		if !ok || err != nil || FoldASCII(typeNames[typed.RDNs()[0][0].OID]) != FoldASCII(keyword) || !fold && typeNames[typed.RDNs()[0][0].OID] != keyword {
			return dn.Name{}, fmt.Errorf("%s is not TYPE=VALUE: a slash in a value cannot be told from one between attributes", escape.Quote(part, escape.Short))
		}
		if !raw {
			if value, err = unescapeSlash(value); err != nil {
				return dn.Name{}, err
			}
		}
		if err := dn.CheckValue(value); err != nil {
			return dn.Name{}, err
		}
		parts = append(parts, dn.Attribute{OID: typed.RDNs()[0][0].OID, Value: value}.String())
	}
	slices.Reverse(parts)
	return dn.Parse(strings.Join(parts, ","))
}

// unescapeSlash reads the escapes \xC3 of a value.
func unescapeSlash(value string) (string, error) {
	var b strings.Builder
	for {
		before, rest, more := strings.Cut(value, `\x`)
		b.WriteString(before)
		if !more {
			return b.String(), nil
		}
		if len(rest) < 2 {
			return "", ErrNotOpenSSL
		}
		c, err := hex.DecodeString(rest[:2])
		if err != nil {
			return "", ErrNotOpenSSL
		}
		b.Write(c)
		value = rest[2:]
	}
}

// FoldASCII returns text with the letters A to Z in lower case, and all others as they are.
func FoldASCII(text string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, text)
}
