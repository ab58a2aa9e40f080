package ocsp

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"
)

// Each of these functions decodes one DER value of exactly one type.

func universal(v asn1.RawValue, tag int) bool {
	compound := tag == asn1.TagSequence
	return v.Class == asn1.ClassUniversal && v.Tag == tag && v.IsCompound == compound
}

func tagged(v asn1.RawValue, tag int) bool {
	return v.Class == asn1.ClassContextSpecific && v.Tag == tag && v.IsCompound
}

// sequence returns the elements of a SEQUENCE.
func sequence(v asn1.RawValue) ([]asn1.RawValue, bool) {
	var parts []asn1.RawValue
	return parts, universal(v, asn1.TagSequence) && decode(v, &parts)
}

// explicit returns the single value within an explicit tag.
func explicit(v asn1.RawValue, tag int) (asn1.RawValue, bool) {
	var inner asn1.RawValue
	if !tagged(v, tag) {
		return inner, false
	}
	rest, err := asn1.Unmarshal(v.Bytes, &inner)
	return inner, err == nil && len(rest) == 0
}

func integer(v asn1.RawValue) (*big.Int, bool) {
	var n *big.Int
	return n, universal(v, asn1.TagInteger) && decode(v, &n)
}

func identifier(v asn1.RawValue) (asn1.ObjectIdentifier, bool) {
	var id asn1.ObjectIdentifier
	return id, universal(v, asn1.TagOID) && decode(v, &id)
}

// generalizedTime decodes a GeneralizedTime by RFC 5280 section 4.1.2.5.2.
func generalizedTime(v asn1.RawValue) (time.Time, bool) {
	var at time.Time
	return at, universal(v, asn1.TagGeneralizedTime) && decode(v, &at)
}

// algorithm decodes an AlgorithmIdentifier whose parameters are absent or NULL.
func algorithm(v asn1.RawValue) (asn1.ObjectIdentifier, bool) {
	parts, ok := sequence(v)
	if !ok || len(parts) == 0 || len(parts) > 2 {
		return nil, false
	}
	if len(parts) == 2 && (!universal(parts[1], asn1.TagNull) || len(parts[1].Bytes) > 0) {
		return nil, false
	}
	return identifier(parts[0])
}

// extensions decodes [1] EXPLICIT Extensions without duplicates.
func extensions(v asn1.RawValue) ([]pkix.Extension, bool) {
	list, ok := explicit(v, 1)
	if !ok {
		return nil, false
	}
	raw, ok := sequence(list)
	if !ok {
		return nil, false
	}
	var out []pkix.Extension
	for _, v := range raw {
		e, ok := extension(v)
		if !ok {
			return nil, false
		}
		for _, before := range out {
			if before.Id.Equal(e.Id) {
				return nil, false
			}
		}
		out = append(out, e)
	}
	return out, true
}

func extension(v asn1.RawValue) (e pkix.Extension, ok bool) {
	parts, ok := sequence(v)
	if !ok || len(parts) < 2 || len(parts) > 3 || !universal(parts[len(parts)-1], asn1.TagOctetString) {
		return e, false
	}
	if e.Id, ok = identifier(parts[0]); !ok {
		return e, false
	}
	if len(parts) == 3 && (!universal(parts[1], asn1.TagBoolean) || !decode(parts[1], &e.Critical)) {
		return e, false
	}
	e.Value = parts[len(parts)-1].Bytes
	return e, true
}

// decode decodes a value to its last byte.
func decode(v asn1.RawValue, into any) bool {
	rest, err := asn1.Unmarshal(v.FullBytes, into)
	return err == nil && len(rest) == 0
}
