package pemfile

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"

	"github.com/mtlsguard/mtlsguard/internal/workers"
)

// part is how many bytes of a block are decoded before requests go first. pem.Decode takes 10 ms
// for a CRL of 100,000 entries, and cannot be interrupted.
const part = 64 << 10

// decode is pem.Decode for a text that is one block.
func decode(text []byte) (block *pem.Block, after []byte) {
	if len(text) > part {
		if block = decodeParts(text, part); block != nil {
			return block, nil
		}
	}
	return pem.Decode(text)
}

// decodeParts decodes a block without headers whose lines end in LF or CR LF. It returns nil for any
// other block, good or bad: pem.Decode is to judge it.
func decodeParts(text []byte, part int) *pem.Block {
	first, body, _ := bytes.Cut(text, []byte("\n"))
	label, begins := bytes.CutPrefix(bytes.TrimSuffix(first, []byte("\r")), beginning)
	label, closed := bytes.CutSuffix(label, dashes)
	body, ends := bytes.CutSuffix(body, append(append(bytes.Clone(ending), label...), dashes...))
	if !begins || !closed || !ends || !bytes.HasSuffix(body, []byte("\n")) {
		return nil
	}
	out := make([]byte, 0, base64.StdEncoding.DecodedLen(len(body)))
	for len(body) > 0 {
		workers.Yield()
		lines := body
		if len(body) > part {
			lines = body[:1+bytes.LastIndexByte(body[:part], '\n')]
		}
		body = body[len(lines):]
		digits := len(lines) - bytes.Count(lines, []byte("\n")) - bytes.Count(lines, []byte("\r"))
		if len(lines) == 0 || len(body) > 0 && (digits%4 != 0 || bytes.IndexByte(lines, '=') >= 0) {
			return nil // the part does not end where a group of four digits ends
		}
		n, err := base64.StdEncoding.Decode(out[len(out):cap(out)], lines) // ignores line ends
		if err != nil {
			return nil
		}
		out = out[:len(out)+n]
	}
	return &pem.Block{Type: string(label), Headers: map[string]string{}, Bytes: out}
}
