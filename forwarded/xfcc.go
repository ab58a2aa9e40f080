package forwarded

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// decodeXFCC reads one element of Envoy's X-Forwarded-Client-Cert:
//
//	By=spiffe://acme/gateway;Hash=9f86…;Cert="-----BEGIN%20CERTIFICATE…";Subject="CN=alice"
//
// The certificate is all that is believed of it. By, Subject, URI and DNS are text
// that the client's authority may have let the client choose.
func decodeXFCC(text, _ string) ([][]byte, error) {
	var e element
	for more := true; more; {
		key, value, rest, err := nextPair(text)
		if err != nil {
			return nil, err
		}
		if err := e.add(key, value); err != nil {
			return nil, err
		}
		text, more = strings.CutPrefix(rest, ";")
	}
	return e.certificates()
}

// element is what is read of one: by key, empty where it did not come.
type element struct{ cert, chain, hash, subject *string }

// add takes a pair. Keys ignore case. By, URI and DNS come once for each name.
func (e *element) add(key, value string) error {
	var field **string
	switch strings.ToLower(key) {
	case "by", "uri", "dns":
		return nil
	case "cert":
		field = &e.cert
	case "chain":
		field = &e.chain
	case "hash":
		field = &e.hash
	case "subject":
		field = &e.subject
	default:
		return faultKey
	}
	if *field != nil {
		return faultKeyTwice
	}
	*field = &value
	return nil
}

// certificates returns the chain, which Envoy begins with the leaf, or the leaf.
func (e *element) certificates() ([][]byte, error) {
	var out [][]byte
	var err error
	if e.chain != nil {
		if out, err = decodeEscapedPEM(*e.chain, ""); err != nil {
			return nil, err
		}
	}
	if e.cert != nil {
		leaf, err := decodeEscapedPEM(*e.cert, "")
		switch {
		case err != nil:
			return nil, err
		case len(leaf) != 1 || out != nil && !bytes.Equal(leaf[0], out[0]):
			return nil, faultOtherLeaf
		case out == nil:
			out = leaf
		}
	}
	if out == nil {
		return nil, faultNoCert
	}
	if e.hash != nil {
		sum := sha256.Sum256(out[0])
		if !strings.EqualFold(*e.hash, hex.EncodeToString(sum[:])) {
			return nil, faultHash
		}
	}
	return out, nil
}

// nextPair cuts key=value off. What is left is empty or begins with a semicolon.
func nextPair(text string) (key, value, rest string, err error) {
	key, rest, ok := strings.Cut(text, "=")
	if !ok {
		return "", "", "", faultXFCC
	}
	if strings.HasPrefix(rest, `"`) {
		value, rest, err = quoted(rest)
	} else {
		value, rest, err = bare(rest)
	}
	switch {
	case err != nil:
		return "", "", "", err
	case rest == "" || rest[0] == ';':
		return key, value, rest, nil
	case rest[0] == ',':
		return "", "", "", faultElements
	}
	return "", "", "", faultXFCC
}

// bare cuts a value without quotes off, in which nothing may stand that separates.
func bare(text string) (value, rest string, err error) {
	i := 0
	for ; i < len(text) && text[i] != ';' && text[i] != ','; i++ {
		if c := text[i]; c <= ' ' || c > '~' || c == '"' || c == '=' {
			return "", "", faultXFCC
		}
	}
	return text[:i], text[i:], nil
}

// quoted cuts a value in quotes off and returns what stands between them. A quote
// inside has a backslash before it, and a backslash has none: behind two of them
// Envoy's quote may be the last or not, so that is refused.
func quoted(text string) (value, rest string, err error) {
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c < ' ' || c == 0x7f:
			return "", "", faultXFCC
		case c != '"':
		case text[i-1] != '\\':
			return text[1:i], text[i+1:], nil
		case text[i-2] == '\\': // i > 1: the value begins with a quote
			return "", "", faultXFCC
		}
	}
	return "", "", faultXFCC
}
