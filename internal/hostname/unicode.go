package hostname

import (
	"strings"
	"unicode"
)

// HintFor is the hint of an error about a written name: Hint, or the xn-- form to write
// instead of a name in other letters.
func HintFor(written string) string {
	if ascii := ToASCII(written); ascii != "" {
		return "write " + ascii
	}
	return Hint
}

// ToASCII returns the xn-- form of a DNS name in other letters than ASCII (RFC 5890), in
// lower case. It returns "" for a name in ASCII, for a text that is no name, and for a
// name with characters that programs convert differently, such as ß or a combining
// accent: then only the owner knows the form in the certificate.
func ToASCII(written string) string {
	labels := strings.Split(strings.TrimSuffix(written, "."), ".")
	isASCII := true
	for i, label := range labels {
		runes := []rune(label)
		plain := true
		for j, r := range runes {
			r = unicode.ToLower(r)
			if r >= 0x80 {
				if !unicode.Is(convertible, r) {
					return ""
				}
				plain = false
			}
			runes[j] = r
		}
		if plain {
			labels[i] = string(runes)
			continue
		}
		isASCII = false
		if len(runes) > 63 {
			return "" // before the encoder, whose time grows with the square
		}
		labels[i] = "xn--" + encodePunycode(runes)
	}
	name := strings.Join(labels, ".")
	if isASCII || HasPort(name) || !Valid(name) {
		return ""
	}
	return name
}

// convertible are the letters in lower case that every version of IDNA leaves as they
// are: letters of Latin, Greek, Cyrillic, Hebrew, Arabic, and of East Asia, in one code
// point each. ß and ς are missing, because IDNA 2003 and 2008 differ.
var convertible = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0xe0, 0xf6, 1}, {0xf8, 0x131, 1}, {0x134, 0x13e, 1}, {0x141, 0x148, 1}, {0x14a, 0x17e, 1}, // without ligatures and compatibility letters
		{0x3ac, 0x3c1, 1}, {0x3c3, 0x3ce, 1},
		{0x430, 0x45f, 1},
		{0x5d0, 0x5ea, 1},
		{0x620, 0x63f, 1}, {0x641, 0x64a, 1},
		{0x3041, 0x3096, 1}, {0x30a1, 0x30fa, 1}, {0x30fc, 0x30fc, 1},
		{0x4e00, 0x9fff, 1},
		{0xac00, 0xd7a3, 1},
	},
	LatinOffset: 1,
}

// encodePunycode returns a label in Punycode (RFC 3492 section 6.3), without xn--.
func encodePunycode(label []rune) string {
	const base, tMin, tMax, skew, damp, initialBias, initialN = 36, 1, 26, 38, 700, 72, 0x80
	var out []byte
	for _, r := range label {
		if r < initialN {
			out = append(out, byte(r))
		}
	}
	basic := len(out)
	if basic > 0 {
		out = append(out, '-')
	}
	n, delta, bias := rune(initialN), 0, initialBias
	for handled := basic; handled < len(label); n++ {
		next := rune(unicode.MaxRune)
		for _, r := range label {
			if r >= n {
				next = min(next, r)
			}
		}
		delta += int(next-n) * (handled + 1)
		n = next
		for _, r := range label {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			q := delta
			for k := base; ; k += base {
				t := min(max(k-bias, tMin), tMax)
				if q < t {
					break
				}
				out = append(out, punycodeDigit(t+(q-t)%(base-t)))
				q = (q - t) / (base - t)
			}
			out = append(out, punycodeDigit(q))
			// adapt, RFC 3492 section 6.1
			if handled == basic {
				delta /= damp
			} else {
				delta /= 2
			}
			delta += delta / (handled + 1)
			k := 0
			for ; delta > (base-tMin)*tMax/2; k += base {
				delta /= base - tMin
			}
			bias = k + (base-tMin+1)*delta/(delta+skew)
			delta = 0
			handled++
		}
		delta++
	}
	return string(out)
}

func punycodeDigit(d int) byte {
	return "abcdefghijklmnopqrstuvwxyz0123456789"[d]
}
