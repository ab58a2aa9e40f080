package usersfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// Split describes the files of a folder that a large file was split into.
type Split struct {
	Prefix string // of the names
	N      int    // the number of files; a power of two, at most MaxSegments
}

// MaxSegments bounds the number of files in a folder.
const MaxSegments = 1 << 16

// Name returns the name of the file with a number: users-017-of-256.jsonl. The number of
// files is part of it, so that every file shows where an id belongs, even if some are missing.
func (s Split) Name(i int) string {
	return fmt.Sprintf("%s-%0*d-of-%d.jsonl", s.Prefix, len(strconv.Itoa(s.N-1)), i, s.N)
}

// Of returns the number of the file for an id: the first 4 bytes of its SHA-256, modulo N.
func (s Split) Of(id string) int {
	digest := sha256.Sum256([]byte(id))
	return int(binary.BigEndian.Uint32(digest[:]) % uint32(s.N))
}

var splitName = regexp.MustCompile(`^(.+)-[0-9]+-of-([0-9]{1,5})\.jsonl$`)

// SplitOf returns how a folder was split, by the names of its files. It returns false if no
// file has such a name, or if two disagree.
func SplitOf(names []string) (s Split, ok bool) {
	for _, name := range names {
		m := splitName.FindStringSubmatch(filepath.Base(name))
		if m == nil {
			continue
		}
		n, _ := strconv.Atoi(m[2]) // digits
		this := Split{m[1], n}
		if n < 1 || n > MaxSegments || ok && this != s {
			return Split{}, false
		}
		s, ok = this, true
	}
	return s, ok
}

// added is the file for new mappings in a folder that was not split.
const added = "added.jsonl"

// SegmentFor returns the file of a folder to which a new mapping belongs: the one that the
// folder was split by, or else added.jsonl. The file need not exist.
func SegmentFor(folder string, names []string, id string) string {
	if s, ok := SplitOf(names); ok {
		return filepath.Join(folder, s.Name(s.Of(id)))
	}
	return filepath.Join(folder, added)
}

// IDsIn returns those of the ids that a mapping in a file of JSON lines has.
func IDsIn(data []byte, ids []string) []string {
	escaped := bytes.IndexByte(data, '\\') >= 0 // an id may be written in several ways
	wanted := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !escaped && !bytes.Contains(data, []byte(id)) })
	if len(wanted) == 0 {
		return nil
	}
	var out []string
	for line := range bytes.Lines(data) {
		var m struct{ ID string }
		if json.Unmarshal(line, &m) == nil && slices.Contains(wanted, m.ID) && !slices.Contains(out, m.ID) {
			out = append(out, m.ID)
		}
	}
	return out
}

// Blank reports whether a file of JSON lines holds nothing but the whitespace of RFC 8259 section 2.
func Blank(data []byte) bool { return len(bytes.Trim(data, " \t\r\n")) == 0 }
