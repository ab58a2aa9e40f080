// Package san reads the subject alternative names of a certificate byte for byte.
//
// crypto/x509 parses URIs, and two different URIs may have the same text when they are
// written again. A name that is compared to a configured one must be the name in the
// certificate.
package san

import (
	"crypto/x509"
	"encoding/asn1"
)

// Tags of GeneralName (RFC 5280 section 4.2.1.6).
const (
	Email = 1
	DNS   = 2
	URI   = 6
)

// Name is one subject alternative name: its tag and its content.
type Name struct {
	Tag   int
	Value string
}

var extension = asn1.ObjectIdentifier{2, 5, 29, 17}

// Names returns the names of a certificate in their order. It returns no names at all
// where the extension is malformed or repeated: the names of half an extension would be
// a guess.
func Names(c *x509.Certificate) []Name {
	var out []Name
	found := false
	for _, e := range c.Extensions {
		if !e.Id.Equal(extension) {
			continue
		}
		if found {
			return nil
		}
		found = true
		var all []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &all); err != nil || len(rest) > 0 {
			return nil
		}
		for _, n := range all {
			if n.Class == asn1.ClassContextSpecific {
				out = append(out, Name{Tag: n.Tag, Value: string(n.Bytes)})
			}
		}
	}
	return out
}

// Values returns the names of one tag.
func Values(c *x509.Certificate, tag int) []string {
	var out []string
	for _, n := range Names(c) {
		if n.Tag == tag {
			out = append(out, n.Value)
		}
	}
	return out
}
