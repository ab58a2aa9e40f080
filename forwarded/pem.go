package forwarded

import "strings"

const (
	pemBegin = "-----BEGIN CERTIFICATE-----"
	pemEnd   = "-----END CERTIFICATE-----"
)

// decodeEscapedPEM reads percent-encoded PEM. A plus is a plus: this is the escaping
// of a path, not of a form.
func decodeEscapedPEM(cert, _ string) ([][]byte, error) {
	text, err := unescape(cert)
	if err != nil {
		return nil, err
	}
	return readLines(text)
}

// decodeAnyPEM reads what webMethods API Gateway takes: percent-encoded PEM, PEM
// with blanks or nothing for its newlines, base64 of PEM, base64 of DER. What it is
// can be seen by its first bytes.
func decodeAnyPEM(cert, chain string) ([][]byte, error) {
	switch {
	case strings.HasPrefix(cert, pemBegin):
		return readFlatPEM(cert)
	case strings.Contains(cert, "%"):
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

// readLines reads PEM in lines.
func readLines(text string) ([][]byte, error) {
	if strings.HasPrefix(text, pemBegin+"\r\n") {
		return readPEM(text, "\r\n")
	}
	return readPEM(text, "\n")
}

// readPEM reads certificates (RFC 7468 section 5) one behind the other, with the
// given end of line and nothing else between, before or behind them.
func readPEM(text, eol string) ([][]byte, error) {
	var out [][]byte
	for text != "" {
		if len(out) == maxCertificates {
			return nil, faultMany
		}
		body, ok := strings.CutPrefix(text, pemBegin+eol)
		if !ok {
			return nil, faultPEM
		}
		body, rest, ok := strings.Cut(body, eol+pemEnd)
		if !ok {
			return nil, faultPEM
		}
		if rest != "" {
			if rest, ok = strings.CutPrefix(rest, eol); !ok {
				return nil, faultPEM
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
		return nil, faultPEM
	}
	return out, nil
}

// decodeBody reads base64 in lines of one length, of which the last may be shorter.
func decodeBody(body, eol string) ([]byte, error) {
	if eol == "" {
		return decodeBase64(body)
	}
	lines := strings.Split(body, eol)
	for i, l := range lines {
		if len(l) == 0 || len(l) > len(lines[0]) || i < len(lines)-1 && len(l) != len(lines[0]) {
			return nil, faultPEM
		}
	}
	return decodeBase64(strings.Join(lines, ""))
}

// unescape undoes percent-encoding (RFC 3986 section 2.1) of PEM: nothing but what
// stands in PEM comes out of it, and a blank or a line must have been escaped.
func unescape(text string) (string, error) {
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		escaped := c == '%'
		if escaped {
			if len(text)-i < 3 {
				return "", faultPercent
			}
			high, low := unhex(text[i+1]), unhex(text[i+2])
			if high > 15 || low > 15 {
				return "", faultPercent
			}
			c = high<<4 | low
			i += 2
		}
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '+', c == '/', c == '=', c == '-':
		case escaped && (c == ' ' || c == '\n' || c == '\r'):
		default:
			return "", faultPercent
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// unhex returns more than 15 for what is no digit.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10
	}
	return 0xff
}
