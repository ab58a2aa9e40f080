package ocsp

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
)

// response is a BasicOCSPResponse (RFC 6960 section 4.2.1). encoding/asn1 passes over
// whatever follows the known parts of a SEQUENCE, and x/crypto/ocsp over extensions of
// the response, so it is taken apart here, to the last byte.
type response struct {
	tbs          []byte // what is signed
	byName       []byte // the responder's name, or
	byKey        []byte // the SHA-1 of its key
	produced     time.Time
	singles      []single
	extensions   []pkix.Extension
	certificates []asn1.RawValue
}

// single is a SingleResponse: what is said about one certificate.
type single struct {
	hash       asn1.ObjectIdentifier
	name, key  []byte // of the issuer, hashed
	serial     *big.Int
	status     trust.Status
	this, next time.Time // next is zero where there is none
	extensions []pkix.Extension
}

const sha1Size = 20

var oidBasic = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}

// refusals are the answers that are no response (RFC 6960 section 4.2.1). None is signed.
var refusals = map[byte]error{
	1: wrong("the responder says malformedRequest"),
	2: wrong("the responder says internalError"),
	3: wrong("the responder says tryLater"),
	5: wrong("the responder says sigRequired"),
	6: &failure{what: "the responder says unauthorized: it does not speak for this certificate"},
}

// parse reads an OCSPResponse that carries a basic response.
func parse(der []byte) (*response, error) {
	var all asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &all); err != nil || len(rest) > 0 {
		return nil, malformed("not one DER value")
	}
	outer, ok := sequence(all)
	if !ok || len(outer) == 0 || !universal(outer[0], asn1.TagEnum) || len(outer[0].Bytes) != 1 {
		return nil, malformed("OCSPResponse")
	}
	if code := outer[0].Bytes[0]; code != 0 {
		if err, ok := refusals[code]; ok {
			return nil, err
		}
		return nil, malformed("responseStatus")
	}
	if len(outer) != 2 {
		return nil, malformed("OCSPResponse")
	}
	inner, ok := explicit(outer[1], 0)
	if !ok {
		return nil, malformed("responseBytes")
	}
	typed, ok := sequence(inner)
	if !ok || len(typed) != 2 || !universal(typed[1], asn1.TagOctetString) {
		return nil, malformed("ResponseBytes")
	}
	if kind, ok := identifier(typed[0]); !ok || !kind.Equal(oidBasic) {
		return nil, wrong("the answer is not of the type basic")
	}
	return parseBasic(typed[1].Bytes)
}

func parseBasic(der []byte) (*response, error) {
	var all asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &all); err != nil || len(rest) > 0 {
		return nil, malformed("something follows the BasicOCSPResponse")
	}
	parts, ok := sequence(all)
	if !ok || len(parts) < 3 || len(parts) > 4 || !universal(parts[2], asn1.TagBitString) {
		return nil, malformed("BasicOCSPResponse")
	}
	if _, ok := algorithm(parts[1]); !ok {
		return nil, malformed("signatureAlgorithm")
	}
	r := &response{tbs: parts[0].FullBytes}
	if len(parts) == 4 {
		list, ok := explicit(parts[3], 0)
		if !ok {
			return nil, malformed("certs")
		}
		if r.certificates, ok = sequence(list); !ok {
			return nil, malformed("certs")
		}
	}
	return r, r.parseData(parts[0])
}

// parseData reads a ResponseData.
func (r *response) parseData(v asn1.RawValue) error {
	parts, ok := sequence(v)
	if ok && len(parts) > 0 && tagged(parts[0], 0) {
		version, isOne := explicit(parts[0], 0)
		n, isNumber := integer(version)
		if !isOne || !isNumber || n.Sign() != 0 {
			return wrong("the answer is not of version 1")
		}
		parts = parts[1:]
	}
	if !ok || len(parts) < 3 || len(parts) > 4 {
		return malformed("ResponseData")
	}
	if name, ok := explicit(parts[0], 1); ok && universal(name, asn1.TagSequence) {
		r.byName = name.FullBytes
	} else if key, ok := explicit(parts[0], 2); ok && universal(key, asn1.TagOctetString) && len(key.Bytes) == sha1Size {
		r.byKey = key.Bytes
	} else {
		return malformed("responderID")
	}
	if r.produced, ok = moment(parts[1]); !ok {
		return malformed("producedAt")
	}
	list, ok := sequence(parts[2])
	if !ok {
		return malformed("responses")
	}
	for _, v := range list {
		s, err := parseSingle(v)
		if err != nil {
			return err
		}
		r.singles = append(r.singles, s)
	}
	if len(parts) == 4 {
		if r.extensions, ok = extensions(parts[3]); !ok {
			return malformed("responseExtensions")
		}
	}
	return nil
}

func parseSingle(v asn1.RawValue) (single, error) {
	var s single
	parts, ok := sequence(v)
	if !ok || len(parts) < 3 || len(parts) > 5 {
		return s, malformed("SingleResponse")
	}
	id, ok := sequence(parts[0])
	if !ok || len(id) != 4 || !universal(id[1], asn1.TagOctetString) || !universal(id[2], asn1.TagOctetString) {
		return s, malformed("CertID")
	}
	s.name, s.key = id[1].Bytes, id[2].Bytes
	if s.hash, ok = algorithm(id[0]); !ok {
		return s, malformed("hashAlgorithm")
	}
	if s.serial, ok = integer(id[3]); !ok {
		return s, malformed("serialNumber")
	}
	if s.status, ok = certStatus(parts[1]); !ok {
		return s, malformed("certStatus")
	}
	if s.this, ok = moment(parts[2]); !ok {
		return s, malformed("thisUpdate")
	}
	parts = parts[3:]
	if len(parts) > 0 && tagged(parts[0], 0) {
		next, _ := explicit(parts[0], 0)
		if s.next, ok = moment(next); !ok {
			return s, malformed("nextUpdate")
		}
		parts = parts[1:]
	}
	if len(parts) > 0 {
		if s.extensions, ok = extensions(parts[0]); !ok || len(parts) > 1 {
			return s, malformed("singleExtensions")
		}
	}
	return s, nil
}

// certStatus reads a CertStatus. Nothing but the NULL of the schema is good.
func certStatus(v asn1.RawValue) (trust.Status, bool) {
	switch {
	case v.Class != asn1.ClassContextSpecific:
		return trust.StatusUnknown, false
	case v.Tag == 0:
		return trust.StatusGood, !v.IsCompound && len(v.Bytes) == 0
	case v.Tag == 2:
		return trust.StatusUnknown, !v.IsCompound && len(v.Bytes) == 0
	case v.Tag == 1 && v.IsCompound: // whatever the reason, certificateHold among them
		return trust.StatusRevoked, true
	}
	return trust.StatusUnknown, false
}
