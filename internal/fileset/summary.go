package fileset

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"hash/maphash"
)

var pemBegin = []byte("-----BEGIN ")

// summary computes the Content of a file from its parts, as Of does from the whole: a file
// of 115 MB is hashed without holding it in memory.
type summary struct {
	hash   hash.Hash
	quick  maphash.Hash
	size   int
	head   []byte // the first bytes, as many as the kind of a file shows in
	tail   []byte // the last bytes
	blocks int    // of PEM
}

func newSummary() *summary {
	s := &summary{hash: sha256.New()}
	s.quick.SetSeed(seed)
	return s
}

// seed is that of Content.quick, a hash of 64 bits that takes a tenth of the time of SHA-256.
// Without the seed an attacker cannot choose two contents with one hash. It only confirms what
// a sure stamp says, in a reading of all files: contents without one are compared by SHA-256.
var seed = maphash.MakeSeed()

// Write adds a part. It never fails.
func (s *summary) Write(p []byte) (int, error) {
	s.hash.Write(p)
	s.quick.Write(p)
	s.size += len(p)
	if rest := len(pemBegin) - len(s.head); rest > 0 {
		s.head = append(s.head, p[:min(rest, len(p))]...)
	}
	// One less than a whole mark: no mark is counted twice.
	const kept = len("-----BEGIN ") - 1
	s.tail = append(s.tail, p[:min(kept, len(p))]...)
	if IsPEM(s.head) || len(s.head) < len(pemBegin) {
		s.blocks += bytes.Count(s.tail, pemBegin) + bytes.Count(p, pemBegin)
	}
	if len(p) >= kept {
		s.tail = append(s.tail[:0], p[len(p)-kept:]...)
	} else {
		s.tail = append(s.tail[:0], s.tail[max(0, len(s.tail)-kept):]...)
	}
	return len(p), nil
}

// content returns the Content of what was written, without data.
func (s *summary) content() Content {
	c := Content{text: !IsPEM(s.head) && !IsDER(s.head), size: s.size, end: openEnd, quick: s.quick.Sum64()}
	s.hash.Sum(c.Digest[:0])
	switch {
	case s.size == 0:
		c.end = noEnd
	case s.tail[len(s.tail)-1] == '\n', IsDER(s.head):
		c.end = lineEnd
	case IsPEM(s.head) && s.blocks == 1 && bytes.HasSuffix(s.tail, []byte("-----")):
		c.end = lineEnd // its one block is whole
	}
	return c
}
