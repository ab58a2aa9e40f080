package report

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"net/netip"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/san"
)

// Tags of alternative names that no mapping compares (RFC 5280 section 4.2.1.6).
const (
	constructed   = 0x20
	tagOtherName  = constructed
	tagX400       = constructed | 3
	tagDirectory  = constructed | 4
	tagEDIParty   = constructed | 5
	tagIP         = 7
	tagRegistered = 8
)

// unmappableNames returns the alternative names that no kind of mapping compares, each with
// what it is: a reader of the certificate might look for a mapping by them.
func unmappableNames(c *x509.Certificate) []Candidate {
	var out []Candidate
	for _, name := range san.Names(c) {
		var m Candidate
		switch name.Tag {
		case tagOtherName:
			m.Kind, m.Value = readOtherName(name.Value)
		case tagDirectory:
			m.Kind, m.Value = "directory name", FormatName([]byte(name.Value))
		case tagIP:
			m.Kind, m.Value = "IP address", hex.EncodeToString([]byte(name.Value))
			if a, ok := netip.AddrFromSlice([]byte(name.Value)); ok {
				m.Value = a.String()
			}
		case tagRegistered:
			m.Kind, m.Value = "registered ID", readOID(name.Value)
		case tagX400:
			m.Kind, m.Value = "X.400 address", hexValue(name.Value)
		case tagEDIParty:
			m.Kind, m.Value = "EDI party name", hexValue(name.Value)
		default:
			continue // a kind of mapping compares it, or it is malformed
		}
		if len(out) == maxNames {
			return append(out, Candidate{Kind: "alternative names", Why: "and more that no mapping compares"})
		}
		m.Why = "no mapping compares it"
		out = append(out, m)
	}
	return out
}

// otherNames are the types of otherName that have a name of their own.
var otherNames = map[string]string{
	"1.3.6.1.4.1.311.20.2.3": "UPN",                // Microsoft's user principal name
	"1.3.6.1.4.1.311.25.1":   "domain controller",  // Microsoft's GUID
	"1.3.6.1.5.2.2":          "Kerberos principal", // RFC 4556
	"1.3.6.1.5.5.7.8.5":      "XMPP address",       // RFC 6120
	"1.3.6.1.5.5.7.8.7":      "SRV name",           // RFC 4985
	"1.3.6.1.5.5.7.8.9":      "UTF-8 mailbox",      // RFC 9598
}

// readOtherName returns what an otherName is, and its text, or its hex if it has none.
func readOtherName(content string) (kind, value string) {
	rest := cryptobyte.String(content)
	var id, inside, text cryptobyte.String
	var tag der.Tag
	if !rest.ReadASN1Element(&id, der.OBJECT_IDENTIFIER) || !rest.ReadASN1(&inside, der.Tag(0).ContextSpecific().Constructed()) || !rest.Empty() {
		return "other name", hexValue(content)
	}
	var oid asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(id, &oid); err != nil {
		return "other name", hexValue(content)
	}
	value = hexValue(string(inside))
	if element := inside; element.ReadAnyASN1(&text, &tag) && element.Empty() {
		switch tag {
		case der.UTF8String, der.IA5String, der.PrintableString:
			value = string(text)
		}
	}
	if name := otherNames[oid.String()]; name != "" {
		return name, value
	}
	return "other name " + oid.String(), value
}

// readOID returns the dotted text of the content of an OBJECT IDENTIFIER.
func readOID(content string) string {
	var oid asn1.ObjectIdentifier
	var b cryptobyte.Builder
	b.AddASN1(der.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(content)) })
	if raw, err := b.Bytes(); err == nil {
		if _, err := asn1.Unmarshal(raw, &oid); err == nil {
			return oid.String()
		}
	}
	return hexValue(content)
}

// hexValue returns the hex of a value, shortened.
func hexValue(content string) string {
	const most = 64
	if len(content) > most {
		return "#" + hex.EncodeToString([]byte(content[:most])) + "…"
	}
	return "#" + hex.EncodeToString([]byte(content))
}
