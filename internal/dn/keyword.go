package dn

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// keywords are the names of attribute types, read in any case; String prints the first
// of each. They are those of RFC 4514 section 3, and those of other types that occur in
// certificates, as OpenSSL, Windows and Java print them.
var keywords = []struct {
	oid   string
	names []string
}{
	{"2.5.4.3", []string{"CN", "commonName"}},
	{"2.5.4.7", []string{"L", "localityName"}},
	{"2.5.4.8", []string{"ST", "S", "stateOrProvinceName"}},
	{"2.5.4.10", []string{"O", "organizationName"}},
	{"2.5.4.11", []string{"OU", "organizationalUnitName"}},
	{"2.5.4.6", []string{"C", "countryName"}},
	{"2.5.4.9", []string{"STREET", "streetAddress"}},
	{"0.9.2342.19200300.100.1.25", []string{"DC", "domainComponent"}},
	{"0.9.2342.19200300.100.1.1", []string{"UID", "userId"}},
	{"1.2.840.113549.1.9.1", []string{"emailAddress", "E", "EMAIL"}},
	{"2.5.4.5", []string{"serialNumber"}},
	{"2.5.4.4", []string{"SN", "surname"}},
	{"2.5.4.42", []string{"GN", "G", "givenName"}},
	{"2.5.4.12", []string{"T", "title"}},
	{"2.5.4.43", []string{"initials"}},
	{"2.5.4.44", []string{"generationQualifier"}},
	{"2.5.4.46", []string{"dnQualifier"}},
	{"2.5.4.65", []string{"pseudonym"}},
	{"2.5.4.41", []string{"name"}},
	{"2.5.4.13", []string{"description"}},
	{"2.5.4.15", []string{"businessCategory"}},
	{"2.5.4.17", []string{"postalCode"}},
	{"2.5.4.97", []string{"organizationIdentifier"}},
	{"1.2.840.113549.1.9.2", []string{"unstructuredName"}},
	{"1.3.6.1.4.1.311.60.2.1.1", []string{"jurisdictionLocalityName"}},
	{"1.3.6.1.4.1.311.60.2.1.2", []string{"jurisdictionStateOrProvinceName"}},
	{"1.3.6.1.4.1.311.60.2.1.3", []string{"jurisdictionCountryName"}},
}

// keywordOf maps an OID in DER to its keyword, and oidOf a keyword in lower case to its
// OID.
var keywordOf, oidOf = func() (map[string]string, map[string]string) {
	of, back := map[string]string{}, map[string]string{}
	for _, k := range keywords {
		oid, err := parseOID(k.oid)
		if err != nil {
			panic("dn: " + k.oid) // an error in the table above
		}
		of[oid] = k.names[0]
		for _, name := range k.names {
			back[strings.ToLower(name)] = oid
		}
	}
	return of, back
}()

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
