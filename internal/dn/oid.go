package dn

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

var errOID = errors.New("not a dotted OID")

// parseOID returns the content of the DER OBJECT IDENTIFIER of a dotted text such as
// 2.5.4.3 (X.690 section 8.19).
func parseOID(text string) (string, error) {
	var arcs []uint64
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseUint(part, 10, 63)
		if err != nil || part != strconv.FormatUint(n, 10) { // no leading zeros (RFC 4512 section 1.4)
			return "", errOID
		}
		arcs = append(arcs, n)
	}
	if len(arcs) < 2 || arcs[0] > 2 || arcs[0] < 2 && arcs[1] > 39 || arcs[1] > math.MaxInt64-80 {
		return "", errOID
	}
	arcs[1] += 40 * arcs[0]
	var der []byte
	for _, n := range arcs[1:] {
		var group [10]byte
		at := len(group) - 1
		for group[at] = byte(n & 0x7f); n > 0x7f; {
			n >>= 7
			at--
			group[at] = byte(n&0x7f) | 0x80
		}
		der = append(der, group[at:]...)
	}
	if len(der) > maxOID {
		return "", errOID
	}
	return string(der), nil
}

// validOID reports whether dotted can print an OID: it is complete, in its shortest
// form, and no arc has more than 63 bits.
func validOID(der []byte) bool {
	if len(der) == 0 || len(der) > maxOID || der[len(der)-1] >= 0x80 {
		return false
	}
	size := 0
	for _, b := range der {
		if size == 0 && b == 0x80 {
			return false
		}
		if size++; size > 9 {
			return false
		}
		if b < 0x80 {
			size = 0
		}
	}
	return true
}

// dotted returns the text of an OID, such as 2.5.4.3.
func dotted(der string) string {
	var b strings.Builder
	var n uint64
	first := true
	for i := range len(der) {
		n = n<<7 | uint64(der[i]&0x7f)
		if der[i] >= 0x80 {
			continue
		}
		if first {
			arc := min(n/40, 2)
			b.WriteString(strconv.FormatUint(arc, 10))
			n -= 40 * arc
			first = false
		}
		b.WriteByte('.')
		b.WriteString(strconv.FormatUint(n, 10))
		n = 0
	}
	return b.String()
}
