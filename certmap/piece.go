package certmap

import (
	"bytes"
	"crypto/sha256"
	"hash/maphash"

	"github.com/mtlsguard/mtlsguard/trust"
)

// piece is a part of a file of JSON lines that ends with a line, or a whole file of YAML. All of its
// mappings are correct by themselves. It does not know its place in the file: a reload takes each piece
// that it knows, wherever it is now.
type piece struct {
	digest  [sha256.Size]byte // of its text; zero: it is never looked up
	pages   []*page
	lines   int
	issuers map[string]trust.Digest // the keys of the issuers that it names by file
}

// current reports whether the issuers that the piece names by file have the same keys as when it was parsed.
func (p *piece) current(s *settings) bool {
	for path, key := range p.issuers {
		if now, err := s.issuers.get(path); err != nil || now != key {
			return false
		}
	}
	return true
}

// pieceSize is the least size of a piece that is not the last of its file, in bytes: some thousand lines.
// It is also how much one goroutine parses at a time.
const pieceSize = 256 << 10

// pieceEnd returns the length of the next piece: at least size, if there are so many bytes, and at most
// four times that and a line. In between the content of a line decides whether it is the last one. So the
// pieces behind a changed line end where they ended before, also if the line has another length.
func pieceEnd(data []byte, size int) int {
	const perLine = 256 // bytes: of so many lines as fit into a piece at this length, one ends a piece
	end := lineEnd(data, min(size, len(data)))
	for end < min(4*size, len(data)) {
		begin := end
		end = lineEnd(data, begin)
		if maphash.Bytes(seed, data[begin:end])%uint64(max(size/perLine, 1)) == 0 {
			break
		}
	}
	return end
}

// lineEnd returns the end of the line that goes on at a position, behind its line feed.
func lineEnd(data []byte, at int) int {
	if n := bytes.IndexByte(data[at:], '\n'); n >= 0 {
		return at + n + 1
	}
	return len(data)
}
