package main

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

var attributes = map[string]asn1.ObjectIdentifier{
	"CN": {2, 5, 4, 3},
	"O":  {2, 5, 4, 10},
	"OU": {2, 5, 4, 11},
}

// subjectOf encodes a subject. pkix.Name would choose the order and the string types.
func subjectOf(c *certificate) ([]byte, error) {
	var sequence pkix.RDNSequence
	for _, text := range filled(c) {
		kind, value, ok := strings.Cut(text, "=")
		oid := attributes[kind]
		if !ok || oid == nil {
			return nil, fmt.Errorf("subject: %q is not CN=, OU= or O=", text)
		}
		encoded := asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(value)}
		if c.Spoil.BMP {
			encoded = asn1.RawValue{Tag: asn1.TagBMPString, Bytes: bmp(value)}
		}
		sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: encoded}})
	}
	slices.Reverse(sequence) // RFC 4514 writes the last element first
	return asn1.Marshal(sequence)
}

// filled returns the subject with the additions of the faults.
func filled(c *certificate) []string {
	out := slices.Clone(c.Subject)
	if missing := c.Spoil.CNBytes - (len(out[0]) - len("CN=")); missing > 0 {
		out[0] += strings.Repeat("x", missing)
	}
	for i := len(out); i < c.Spoil.Attributes; i++ {
		out = slices.Insert(out, 1, fmt.Sprintf("OU=unit-%d", i))
	}
	return out
}

func bmp(text string) []byte {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, byte(unit>>8), byte(unit))
	}
	return out
}
