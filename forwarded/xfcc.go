package forwarded

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// decodeXFCC decodes one element of Envoy's X-Forwarded-Client-Cert:
//
//	By=spiffe://acme/gateway;Hash=9f86…;Cert="-----BEGIN%20CERTIFICATE…";Subject="CN=alice"
//
// Only the certificates are used. By, Subject, URI and DNS are text that the client may
// have chosen, as far as its authority let it.
func decodeXFCC(text, _ string) ([][]byte, error) {
	var e element
	for more := true; more; {
		key, value, rest, err := cutPair(text)
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

// element holds the values of one element that are checked; nil for a missing key.
type element struct{ cert, chain, hash, subject *string }

// add stores the value of a key. Keys ignore case. By, URI and DNS may be repeated.
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
		return errUnknownKey
	}
	if *field != nil {
		return errRepeatedKey
	}
	*field = &value
	return nil
}

// certificates returns the chain, which Envoy begins with the leaf, or the leaf alone.
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
		if err != nil {
			return nil, err
		}
		if len(leaf) != 1 || out != nil && !bytes.Equal(leaf[0], out[0]) {
			return nil, errOtherLeaf
		}
		if out == nil {
			out = leaf
		}
	}
	if out == nil {
		return nil, errNoCert
	}
	if e.hash != nil {
		sum := sha256.Sum256(out[0])
		if !strings.EqualFold(*e.hash, hex.EncodeToString(sum[:])) {
			return nil, errHash
		}
	}
	return out, nil
}

// cutPair splits text after its first key=value pair. rest is empty or begins with a
// semicolon.
func cutPair(text string) (key, value, rest string, err error) {
	key, rest, ok := strings.Cut(text, "=")
	if !ok {
		return "", "", "", errXFCC
	}
	if strings.HasPrefix(rest, `"`) {
		value, rest, err = cutQuoted(rest)
	} else {
		value, rest, err = cutBare(rest)
	}
	if err != nil {
		return "", "", "", err
	}
	if strings.HasPrefix(rest, ",") {
		return "", "", "", errElements
	}
	if rest != "" && rest[0] != ';' {
		return "", "", "", errXFCC
	}
	return key, value, rest, nil
}

// cutBare splits text after a value without quotes.
func cutBare(text string) (value, rest string, err error) {
	end := strings.IndexAny(text, ";,")
	if end < 0 {
		end = len(text)
	}
	for i := range end {
		if c := text[i]; c <= ' ' || c > '~' || c == '"' || c == '=' {
			return "", "", errXFCC
		}
	}
	return text[:end], text[end:], nil
}

// cutQuoted splits text after a quoted value, which it returns without the quotes. Envoy
// escapes a quote with a backslash, but not a backslash: a quote after two backslashes
// is ambiguous, and an error.
func cutQuoted(text string) (value, rest string, err error) {
	for i := 1; i < len(text); i++ {
		c := text[i]
		if c < ' ' || c == 0x7f {
			return "", "", errXFCC
		}
		if c != '"' {
			continue
		}
		if text[i-1] != '\\' {
			return text[1:i], text[i+1:], nil
		}
		if text[i-2] == '\\' { // i > 1, because text begins with a quote
			return "", "", errXFCC
		}
	}
	return "", "", errXFCC
}
