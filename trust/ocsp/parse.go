package ocsp

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
)

// response is a BasicOCSPResponse (RFC 6960 section 4.2.1). It is parsed here to the last byte:
// encoding/asn1 ignores elements after the known ones of a SEQUENCE, and x/crypto/ocsp ignores
// extensions of the response.
type response struct {
	tbs          []byte // the signed bytes
	byName       []byte // the responder's name, or
	byKey        []byte // the SHA-1 of its key
	producedAt   time.Time
	singles      []single
	extensions   []pkix.Extension
	certificates []asn1.RawValue
}

// single is a SingleResponse: the status of one certificate.
type single struct {
	hash                   asn1.ObjectIdentifier
	nameHash, keyHash      []byte // of the issuer, hashed
	serial                 *big.Int
	status                 trust.Status
	thisUpdate, nextUpdate time.Time // nextUpdate is zero if absent
	extensions             []pkix.Extension
}

const sha1Size = 20

var oidBasic = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}

// errorStatuses are the errors that a responder returns, unsigned (RFC 6960 section 4.2.1).
var errorStatuses = map[byte]error{
	1: responderError("the responder returned malformedRequest"),
	2: responderError("the responder returned internalError"),
	3: responderError("the responder returned tryLater"),
	5: responderError("the responder returned sigRequired"),
	6: &failure{what: "the responder returned unauthorized: it is not responsible for this certificate"},
}

// parse parses an OCSPResponse with a basic response.
func parse(der []byte) (*response, error) {
	var all asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &all); err != nil || len(rest) > 0 {
		return nil, malformedError("not one DER value")
	}
	outer, ok := sequence(all)
	if !ok || len(outer) == 0 || !universal(outer[0], asn1.TagEnum) || len(outer[0].Bytes) != 1 {
		return nil, malformedError("OCSPResponse")
	}
	if code := outer[0].Bytes[0]; code != 0 {
		if err, ok := errorStatuses[code]; ok {
			return nil, err
		}
		return nil, malformedError("responseStatus")
	}
	if len(outer) != 2 {
		return nil, malformedError("OCSPResponse")
	}
	inner, ok := explicit(outer[1], 0)
	if !ok {
		return nil, malformedError("responseBytes")
	}
	typed, ok := sequence(inner)
	if !ok || len(typed) != 2 || !universal(typed[1], asn1.TagOctetString) {
		return nil, malformedError("ResponseBytes")
	}
	if kind, ok := identifier(typed[0]); !ok || !kind.Equal(oidBasic) {
		return nil, responderError("the answer is not of the type basic")
	}
	return parseBasic(typed[1].Bytes)
}

func parseBasic(der []byte) (*response, error) {
	var all asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &all); err != nil || len(rest) > 0 {
		return nil, malformedError("data after the BasicOCSPResponse")
	}
	parts, ok := sequence(all)
	if !ok || len(parts) < 3 || len(parts) > 4 || !universal(parts[2], asn1.TagBitString) {
		return nil, malformedError("BasicOCSPResponse")
	}
	if _, ok := algorithm(parts[1]); !ok {
		return nil, malformedError("signatureAlgorithm")
	}
	r := &response{tbs: parts[0].FullBytes}
	if len(parts) == 4 {
		list, ok := explicit(parts[3], 0)
		if !ok {
			return nil, malformedError("certs")
		}
		if r.certificates, ok = sequence(list); !ok {
			return nil, malformedError("certs")
		}
	}
	return r, r.parseData(parts[0])
}

// parseData parses a ResponseData.
func (r *response) parseData(v asn1.RawValue) error {
	parts, ok := sequence(v)
	if ok && len(parts) > 0 && tagged(parts[0], 0) {
		version, isOne := explicit(parts[0], 0)
		n, isNumber := integer(version)
		if !isOne || !isNumber || n.Sign() != 0 {
			return responderError("the answer is not of version 1")
		}
		parts = parts[1:]
	}
	if !ok || len(parts) < 3 || len(parts) > 4 {
		return malformedError("ResponseData")
	}
	if name, ok := explicit(parts[0], 1); ok && universal(name, asn1.TagSequence) {
		r.byName = name.FullBytes
	} else if key, ok := explicit(parts[0], 2); ok && universal(key, asn1.TagOctetString) && len(key.Bytes) == sha1Size {
		r.byKey = key.Bytes
	} else {
		return malformedError("responderID")
	}
	if r.producedAt, ok = generalizedTime(parts[1]); !ok {
		return malformedError("producedAt")
	}
	list, ok := sequence(parts[2])
	if !ok {
		return malformedError("responses")
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
			return malformedError("responseExtensions")
		}
	}
	return nil
}

func parseSingle(v asn1.RawValue) (single, error) {
	var s single
	parts, ok := sequence(v)
	if !ok || len(parts) < 3 || len(parts) > 5 {
		return s, malformedError("SingleResponse")
	}
	id, ok := sequence(parts[0])
	if !ok || len(id) != 4 || !universal(id[1], asn1.TagOctetString) || !universal(id[2], asn1.TagOctetString) {
		return s, malformedError("CertID")
	}
	s.nameHash, s.keyHash = id[1].Bytes, id[2].Bytes
	if s.hash, ok = algorithm(id[0]); !ok {
		return s, malformedError("hashAlgorithm")
	}
	if s.serial, ok = integer(id[3]); !ok {
		return s, malformedError("serialNumber")
	}
	if s.status, ok = certStatus(parts[1]); !ok {
		return s, malformedError("certStatus")
	}
	if s.thisUpdate, ok = generalizedTime(parts[2]); !ok {
		return s, malformedError("thisUpdate")
	}
	parts = parts[3:]
	if len(parts) > 0 && tagged(parts[0], 0) {
		next, _ := explicit(parts[0], 0)
		if s.nextUpdate, ok = generalizedTime(next); !ok {
			return s, malformedError("nextUpdate")
		}
		parts = parts[1:]
	}
	if len(parts) > 0 {
		if s.extensions, ok = extensions(parts[0]); !ok || len(parts) > 1 {
			return s, malformedError("singleExtensions")
		}
	}
	return s, nil
}

// certStatus parses a CertStatus. Only the NULL of the schema means good.
func certStatus(v asn1.RawValue) (trust.Status, bool) {
	switch {
	case v.Class != asn1.ClassContextSpecific:
		return trust.StatusUnknown, false
	case v.Tag == 0:
		return trust.StatusGood, !v.IsCompound && len(v.Bytes) == 0
	case v.Tag == 2:
		return trust.StatusUnknown, !v.IsCompound && len(v.Bytes) == 0
	case v.Tag == 1 && v.IsCompound: // for any reason, also certificateHold
		return trust.StatusRevoked, true
	}
	return trust.StatusUnknown, false
}
