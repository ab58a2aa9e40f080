package javaks

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
)

const (
	// maxIterations bounds the cost of deriving a key from a password: about a second for
	// each. Java writes 10,000, openssl 2,048.
	maxIterations = 2_000_000
	maxNesting    = 32 // of DER values
	maxChain      = 64 // certificates of an entry
	minKey        = 40 // bytes: the salt and the digest of a JKS key
)

// isCompleteJKS reports whether every length in a JKS file fits its size. The library
// allocates by these lengths, and a length of four bytes can be 4 GiB.
func isCompleteJKS(data []byte) bool {
	r := reader{rest: data, ok: true}
	r.uint32() // magic
	version, entries := r.uint32(), r.uint32()
	if version != 1 && version != 2 {
		return false
	}
	for range entries {
		if !r.ok {
			return false
		}
		kind := r.uint32()
		r.take(uint32(r.uint16())) // alias
		r.take(8)                  // date
		certificates := uint32(1)
		switch kind {
		case 1:
			if key := r.take(r.uint32()); r.ok && !isJKSKey(key) {
				return false
			}
			if certificates = r.uint32(); certificates > maxChain {
				return false
			}
		case 2:
		default:
			return false
		}
		for range certificates {
			if version == 2 {
				r.take(uint32(r.uint16())) // type
			}
			r.take(r.uint32())
		}
	}
	r.take(20) // SHA-1
	return r.ok && len(r.rest) == 0
}

// isJKSKey reports whether an encrypted key is long enough for its salt and digest.
func isJKSKey(der []byte) bool {
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	rest, err := asn1.Unmarshal(der, &key)
	return err == nil && len(rest) == 0 && len(key.Data) >= minKey
}

// reader reads big-endian numbers and bytes. After a read beyond the end, ok is false.
type reader struct {
	rest []byte
	ok   bool
}

func (r *reader) take(n uint32) []byte {
	if !r.ok || uint64(n) > uint64(len(r.rest)) {
		r.ok = false
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func exceedsIterations(der []byte) bool { return iterations(der, 0) > maxIterations }

// iterations returns the largest number after an OCTET STRING, which is where PKCS#12 (RFC
// 7292, RFC 8018) has its salts and iteration counts. It sees only what is not encrypted.
func iterations(der []byte, depth int) int {
	most, salt := 0, false
	for len(der) > 0 && depth < maxNesting {
		var v asn1.RawValue
		rest, err := asn1.Unmarshal(der, &v)
		if err != nil {
			return most
		}
		der = rest
		universal := v.Class == asn1.ClassUniversal
		if universal && v.Tag == asn1.TagInteger && salt {
			most = max(most, parseCount(v.FullBytes))
		}
		salt = universal && v.Tag == asn1.TagOctetString
		if v.IsCompound || salt { // an OCTET STRING may contain more DER
			most = max(most, iterations(v.Bytes, depth+1))
		}
	}
	return most
}

func parseCount(der []byte) int {
	var n int
	if _, err := asn1.Unmarshal(der, &n); err != nil {
		return maxIterations + 1 // larger than an int
	}
	return n
}
