package fileform

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"unicode/utf16"
)

// KeyFinder finds private keys in a file that is read in parts: in PEM, also in UTF-16 or in base64, as JSON Web Key
// (RFC 7517), in the forms of PuTTY, OpenSSH, NATS, age and .NET, and by the first bytes also DER, PKCS#12 and
// keystores of Java, also in base64. Other forms are not recognised, such as DER in the middle of a file, or an
// archive. The zero value is ready.
type KeyFinder struct {
	head    []byte // the first bytes, which show what kind of file it is
	tail    []byte // the last bytes, in which a mark or a JSON Web Key may have begun
	base64  bool   // the file has base64 of a line of PEM
	compact []byte // the last bytes of base64
	jwk     bool   // the file has a JSON Web Key
}

// mark is a text that only a private key has.
type mark struct {
	text []byte
	what string
}

// marks are found wherever they are. bytes.Contains is quick if their first byte is rare in other files.
var marks = []mark{
	{[]byte("PRIVATE KEY"), "holds a private key"},
	{inUTF16("PRIVATE KEY"), "holds a private key in UTF-16"},
	{[]byte("PuTTY-User-Key-File"), "holds a private key of PuTTY"},
	{[]byte("NKEY SEED"), "holds a seed of NATS"},
	{[]byte("AGE-SECRET-KEY-1"), "holds a private key of age"},
	{[]byte("<InverseQ>"), "holds a private key in XML"},
}

const (
	markOverlap = 31      // bytes of the longest mark, less one
	jwkOverlap  = 4 << 10 // bytes of a JSON Web Key that may stand before its kty
	// dashes are in base64 of four or more hyphens, wherever these begin.
	dashes = "0tLS"
)

// base64Marks are what base64 of "PRIVATE KEY" has in the middle, by where it begins.
var base64Marks = func() (out [][]byte) {
	for before := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, before), "PRIVATE KEY"...))
		first := (before*8 + 5) / 6
		out = append(out, []byte(text[first:(before+len("PRIVATE KEY"))*8/6]))
	}
	return out
}()

// inUTF16 returns a text in UTF-16. Its end is cut, so that it is the same in both orders of bytes.
func inUTF16(text string) (out []byte) {
	for _, u := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out[:len(out)-1]
}

// Next looks at the next part of the file. It returns what the file is or holds, after "it", if that is a private
// key or a file of a kind for private keys, and "" if nothing of this was found so far.
func (k *KeyFinder) Next(p []byte) string {
	joined := append(k.tail[max(0, len(k.tail)-markOverlap):len(k.tail):len(k.tail)], p[:min(len(p), markOverlap)]...)
	what := findMark(joined)
	if what == "" {
		what = findMark(p)
	}
	if what == "" && k.isPrivateJWK(joined, p) {
		what = "holds a private JSON Web Key"
	}
	if what == "" {
		what = k.findInBase64(joined, p)
	}
	if what == "" {
		what = k.kind(p)
	}
	if len(p) >= jwkOverlap {
		k.tail = k.tail[:0]
	}
	k.tail = append(k.tail, p[max(0, len(p)-jwkOverlap):]...)
	if len(k.tail) > 2*jwkOverlap {
		k.tail = append(k.tail[:0], k.tail[len(k.tail)-jwkOverlap:]...)
	}
	return what
}

// findMark looks for marks in a part of the file.
func findMark(p []byte) string {
	for _, m := range marks {
		if bytes.Contains(p, m.text) {
			return m.what
		}
	}
	return ""
}

// isPrivateJWK reports whether a JSON Web Key with a private part ends in p: d of RSA and of curves, or k of a
// symmetric key (RFC 7518 section 6).
func (k *KeyFinder) isPrivateJWK(joined, p []byte) bool {
	isPrivate := func(p []byte) bool { return hasKey(p, "d") || hasKey(p, "k") }
	if !k.jwk {
		if k.jwk = hasKey(joined, "kty") || hasKey(p, "kty"); !k.jwk {
			return false
		}
		if isPrivate(k.tail) {
			return true
		}
	}
	return isPrivate(joined) || isPrivate(p)
}

// hasKey reports whether p has a key of a JSON object, in a document or in a string of one.
func hasKey(p []byte, key string) bool {
	for {
		i := bytes.Index(p, []byte(key)) // without the quote, which is frequent
		if i < 0 {
			return false
		}
		before := p[:i]
		p = p[i+len(key):]
		if !bytes.HasSuffix(before, []byte(`"`)) {
			continue
		}
		after, ok := bytes.CutPrefix(bytes.TrimPrefix(p, []byte(`\`)), []byte(`"`))
		if ok && bytes.HasPrefix(bytes.TrimLeft(after, " \t\r\n"), []byte(":")) {
			return true
		}
	}
}

// findInBase64 looks for PEM in base64, whose lines may end anywhere.
func (k *KeyFinder) findInBase64(joined, p []byte) string {
	if !k.base64 {
		if k.base64 = bytes.Contains(joined, []byte(dashes)) || bytes.Contains(p, []byte(dashes)); !k.base64 {
			return ""
		}
		k.compact = appendBase64(nil, joined[:len(joined)-min(len(p), markOverlap)])
	}
	const most = 4 << 10 // bytes at a time: a part may be large
	for len(p) > 0 {
		n := min(len(p), most)
		k.compact = appendBase64(k.compact, p[:n])
		p = p[n:]
		for _, text := range base64Marks {
			if bytes.Contains(k.compact, text) {
				return "holds a private key in base64"
			}
		}
		k.compact = append(k.compact[:0], k.compact[max(0, len(k.compact)-markOverlap):]...)
	}
	return ""
}

// appendBase64 appends what is not the end of a line, written as it is or as in JSON.
func appendBase64(to, p []byte) []byte {
	for i, c := range p {
		switch {
		case c == '\n', c == '\r', c == ' ', c == '\t', c == '\\':
		case (c == 'n' || c == 'r') && i > 0 && p[i-1] == '\\':
		default:
			to = append(to, c)
		}
	}
	return to
}

// kind looks at the first bytes of the file.
func (k *KeyFinder) kind(p []byte) string {
	missing := KindHead - len(k.head)
	if missing == 0 {
		return ""
	}
	k.head = append(k.head, p[:min(len(p), missing)]...)
	if kind := KeyKind(k.head); kind != "" {
		return "is " + kind
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		text := bytes.TrimRight(appendBase64(nil, k.head), "=")
		decoded := make([]byte, encoding.DecodedLen(len(text)))
		n, err := encoding.Decode(decoded, text[:len(text)/4*4])
		if kind := KeyKind(decoded[:n]); err == nil && kind != "" {
			return "is " + kind + " in base64"
		}
	}
	return ""
}
