package fileform

import "bytes"

// KindHead is the number of bytes from which KeyKind recognises a file.
const KindHead = 512

// KeyKind returns the kind of a file whose first bytes are head, if files of that kind hold private keys: a
// private key in DER or of OpenSSH, PKCS#12, or a keystore of Java. It returns "" for others, and for too few bytes. PEM is
// text: the caller looks for its labels.
func KeyKind(head []byte) string {
	switch {
	case isJKS(head):
		return "a Java keystore (JKS)"
	case isJCEKS(head):
		return "a Java keystore (JCEKS)"
	case bytes.HasPrefix(head, []byte("openssh-key-v1\x00")):
		return "a private key of OpenSSH"
	}
	const sequence, integer, octets = 0x30, 0x02, 0x04
	tag, body, _ := begin(head)
	if tag != sequence {
		return ""
	}
	tag, first, rest := begin(body)
	next, second, _ := begin(rest)
	version := ""
	if tag == integer {
		version = string(first)
	}
	switch {
	case version == "\x03" && next == sequence && isAlgorithm(second): // RFC 7292 section 4: the content type
		return "a PKCS#12 file"
	case tag == integer && next == sequence && isAlgorithm(second), // PKCS#8, RFC 5958; readers ignore its version
		(version == "\x00" || version == "\x01") && next == integer, // PKCS#1, and DSA
		version == "\x01" && next == octets:                         // SEC 1, RFC 5915
		return "a private key in DER"
	case tag == sequence && isAlgorithm(first) && next == octets: // RFC 5958 section 3
		return "an encrypted private key in DER"
	}
	return ""
}

// begin returns tag and body of the value that data begins with, and what follows, as far as data goes.
func begin(data []byte) (tag byte, body, rest []byte) {
	if v, rest, ok := next(data); ok && !v.indefinite {
		return v.tag, v.body, rest
	}
	if len(data) < 2 {
		return 0, nil, nil
	}
	header := 2
	if n := int(data[1]); n > 0x80 {
		header += n & 0x7f
	}
	return data[0], data[min(header, len(data)):], nil
}

// isAlgorithm reports whether a body begins with an OBJECT IDENTIFIER.
func isAlgorithm(body []byte) bool {
	tag, _, _ := begin(body)
	return tag == 0x06
}
