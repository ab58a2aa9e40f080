package fileform

// value is one value of BER, which DER is a part of.
type value struct {
	tag        byte
	body       []byte
	indefinite bool // it has no length: BER, not DER
}

const maxDepth = 32 // of values in values

// next reads the value that data begins with. ok is false if it is cut off or malformed.
// Tags of several bytes do not occur in the files of this package.
func next(data []byte) (v value, rest []byte, ok bool) { return nextAt(data, 0) }

func nextAt(data []byte, depth int) (v value, rest []byte, ok bool) {
	if len(data) < 2 || depth > maxDepth || data[0]&0x1f == 0x1f {
		return v, nil, false
	}
	v.tag = data[0]
	n, data := int(data[1]), data[2:]
	switch {
	case n == 0x80:
		v.indefinite = true
		end := data
		for len(end) < 2 || end[0] != 0 || end[1] != 0 {
			if _, end, ok = nextAt(end, depth+1); !ok {
				return v, nil, false
			}
		}
		v.body = data[:len(data)-len(end)]
		return v, end[2:], true
	case n > 0x80:
		bytes := n & 0x7f
		if bytes > 4 || bytes > len(data) {
			return v, nil, false
		}
		n = 0
		for _, b := range data[:bytes] {
			n = n<<8 | int(b)
		}
		data = data[bytes:]
	}
	if n < 0 || n > len(data) { // negative: an int of 32 bits
		return v, nil, false
	}
	v.body = data[:n]
	return v, data[n:], true
}

// values returns the values in a body; those before the first malformed one.
func values(body []byte) (out []value) {
	for len(body) > 0 {
		v, rest, ok := next(body)
		if !ok {
			return out
		}
		out, body = append(out, v), rest
	}
	return out
}

// tags returns the tags of the first values in a body.
func tags(body []byte, n int) string {
	var out []byte
	for len(body) > 0 && len(out) < n {
		v, rest, ok := next(body)
		if !ok {
			break
		}
		out, body = append(out, v.tag), rest
	}
	return string(out)
}

// isBER reports whether a value, or one in it, has a form that DER excludes: an indefinite
// length, or an OCTET STRING in pieces.
func isBER(v value, depth int) bool {
	if v.indefinite || v.tag == 0x24 {
		return true
	}
	if v.tag&0x20 == 0 || depth > maxDepth {
		return false
	}
	for _, inner := range values(v.body) {
		if isBER(inner, depth+1) {
			return true
		}
	}
	return false
}
