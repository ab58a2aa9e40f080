package forwarded

import "strings"

const (
	pemBegin = "-----BEGIN CERTIFICATE-----"
	pemEnd   = "-----END CERTIFICATE-----"
)

// decodeEscapedPEM decodes percent-encoded PEM. "+" is a plus sign: this is the escaping
// of a path, not of a form.
func decodeEscapedPEM(cert, _ string) ([][]byte, error) {
	text, err := unescape(cert)
	if err != nil {
		return nil, err
	}
	return readLines(text)
}

// decodeAnyPEM decodes the formats that webMethods API Gateway accepts: percent-encoded
// PEM, PEM with blanks or nothing in place of its newlines, base64 of PEM, and base64 of
// DER. The first bytes show which format it is.
func decodeAnyPEM(cert, chain string) ([][]byte, error) {
	if strings.HasPrefix(cert, pemBegin) {
		return readFlatPEM(cert)
	}
	if strings.Contains(cert, "%") {
		return decodeEscapedPEM(cert, chain)
	}
	inner, err := decodeBase64(cert)
	if err != nil {
		return nil, err
	}
	if text := string(inner); strings.HasPrefix(text, pemBegin) {
		return readLines(text)
	}
	return [][]byte{inner}, nil
}

// readFlatPEM reads PEM in one line.
func readFlatPEM(text string) ([][]byte, error) {
	if strings.HasPrefix(text, pemBegin+" ") {
		return readPEM(text, " ")
	}
	return readPEM(text, "")
}

// readLines reads PEM in lines that end with LF or CRLF.
func readLines(text string) ([][]byte, error) {
	if strings.HasPrefix(text, pemBegin+"\r\n") {
		return readPEM(text, "\r\n")
	}
	return readPEM(text, "\n")
}

// readPEM reads concatenated PEM certificates (RFC 7468 section 5) with the given line
// end. Other text before, between or after the certificates is an error.
func readPEM(text, eol string) ([][]byte, error) {
	var out [][]byte
	for text != "" {
		if len(out) == maxCertificates {
			return nil, errTooMany
		}
		body, ok := strings.CutPrefix(text, pemBegin+eol)
		if !ok {
			return nil, errPEM
		}
		body, rest, ok := strings.Cut(body, eol+pemEnd)
		if !ok {
			return nil, errPEM
		}
		if rest != "" {
			if rest, ok = strings.CutPrefix(rest, eol); !ok {
				return nil, errPEM
			}
		}
		der, err := decodeBody(body, eol)
		if err != nil {
			return nil, err
		}
		out = append(out, der)
		text = rest
	}
	if len(out) == 0 {
		return nil, errPEM
	}
	return out, nil
}

// decodeBody decodes base64 in lines of one length; only the last line may be shorter.
func decodeBody(body, eol string) ([]byte, error) {
	if eol == "" {
		return decodeBase64(body)
	}
	lines := strings.Split(body, eol)
	width, last := len(lines[0]), len(lines)-1
	for i, l := range lines {
		if l == "" || len(l) > width || i < last && len(l) != width {
			return nil, errPEM
		}
	}
	return decodeBase64(strings.Join(lines, ""))
}

// unescape decodes the percent-encoding (RFC 3986 section 2.1) of PEM. The result holds
// characters of PEM only; a blank or line end must have been escaped.
func unescape(text string) (string, error) {
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		escaped := c == '%'
		if escaped {
			if len(text)-i < 3 {
				return "", errPercent
			}
			high, low := hexDigit(text[i+1]), hexDigit(text[i+2])
			if high > 15 || low > 15 {
				return "", errPercent
			}
			c = high<<4 | low
			i += 2
		}
		if !isPEMByte(c) && !(escaped && isBlank(c)) {
			return "", errPercent
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// isPEMByte reports whether c occurs within a line of PEM.
func isPEMByte(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("+/=-", c) >= 0
}

// isBlank reports whether c separates words or lines in PEM.
func isBlank(c byte) bool { return strings.IndexByte(" \r\n", c) >= 0 }

// isAlphanumeric reports whether c is an ASCII letter or digit.
func isAlphanumeric(c byte) bool {
	lower := c | 0x20
	return 'a' <= lower && lower <= 'z' || '0' <= c && c <= '9'
}

// hexDigit returns the value of a hexadecimal digit, and more than 15 for other bytes.
func hexDigit(c byte) byte {
	if '0' <= c && c <= '9' {
		return c - '0'
	}
	if lower := c | 0x20; 'a' <= lower && lower <= 'f' {
		return lower - 'a' + 10
	}
	return 0xff
}
