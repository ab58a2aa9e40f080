package source

import (
	"encoding/json"
	"fmt"
)

// MaxEnvelope is an upper bound on the bytes of an envelope.
const MaxEnvelope = 1 << 20

// envelope is a manifest with its signatures, as stores, folders and web servers hold it.
type envelope struct {
	Manifest   []byte      `json:"manifest"` // base64
	Signatures []Signature `json:"signatures"`
}

// Encode returns the manifest of g, as it was written, and its signatures as one JSON document: the
// answer of a web server to GET /head, and the file head of a folder. Stores may keep it as one value.
func (g *Generation) Encode() []byte {
	signatures := g.Signatures
	if signatures == nil {
		signatures = []Signature{}
	}
	data, _ := json.Marshal(envelope{g.Raw, signatures}) // it has only texts
	return append(data, '\n')
}

// Decode reads what Encode wrote, as New does. It reads no files.
func Decode(data []byte, open OpenFunc) (*Generation, error) {
	if len(data) > MaxEnvelope {
		return nil, fmt.Errorf("the manifest and its signatures have more than %d KiB", MaxEnvelope>>10)
	}
	var e envelope
	if err := decodeStrict(data, &e); err != nil {
		return nil, fmt.Errorf("the manifest and its signatures cannot be read: %w", err)
	}
	return New(e.Manifest, e.Signatures, open)
}
