package certmap

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/usersload/hook"
)

func init() { hook.Load = loadFiles }

// settings are what the meaning of files depends on, besides their content.
type settings struct {
	ports   map[string]bool // nil means every name
	issuers *issuerKeys

	pieceSize int // in bytes; the meaning does not depend on it
}

func newSettings() *settings {
	return &settings{issuers: &issuerKeys{known: map[string]issuerKey{}}, pieceSize: pieceSize}
}

// source is what a table was loaded from.
type source struct {
	files []*parsedFile
	ports map[string]bool
}

// parsedFile is a file whose mappings are correct by themselves.
type parsedFile struct {
	file   hook.File // without Read
	pieces []*piece
}

// byDigest returns the pieces that can be looked up.
func (f *parsedFile) byDigest() map[[sha256.Size]byte]*piece {
	out := map[[sha256.Size]byte]*piece{}
	if f != nil {
		for _, p := range f.pieces {
			if p.digest != ([sha256.Size]byte{}) {
				out[p.digest] = p
			}
		}
	}
	return out
}

// placePages returns the pages of files at their places, in the order of the table.
func placePages(files ...*parsedFile) (out []placedPage) {
	for _, f := range files {
		seq, line := 0, uint32(0)
		for _, piece := range f.pieces {
			for _, p := range piece.pages {
				out = append(out, placedPage{page: p, seq: seq, line: line})
				seq++
			}
			line += uint32(piece.lines)
		}
	}
	return out
}

// loadFiles is hook.Load.
func loadFiles(previous *Table, files []hook.File, h hook.Settings) (*Table, error) {
	s := newSettings()
	if !h.AnyPort {
		WithPorts(h.Ports...)(s)
	}
	WithIssuers(h.ReadIssuer)(s)
	if h.PieceSize > 0 {
		s.pieceSize = h.PieceSize
	}
	return s.load(previous, files, h.Workers)
}

// load makes the table of some files. It takes from a previous table what is the same.
//
// Files without an error are parsed by several goroutines, and what they give is put together
// without reading a line again. If anything is wrong, in a file or between two, everything
// goes through a builder once more, line by line: it alone reports errors.
func (s *settings) load(previous *Table, files []hook.File, workers int) (*Table, error) {
	next := &source{files: make([]*parsedFile, len(files)), ports: s.ports}
	data := make([][]byte, len(files)) // of the files that are read; nil for others
	var before source
	if previous != nil && previous.origin != nil {
		before = *previous.origin
	}
	pool := newPool(s, workers)
	readable := true
	for i, f := range files {
		earlier := before.find(f, s)
		if earlier != nil && earlier.file.Digest == f.Digest && earlier.current(s) {
			next.files[i] = earlier
			continue
		}
		read, digest, ok := f.Read()
		if !ok { // the caller has reported it
			readable = false
			continue
		}
		if data[i] = read; read == nil {
			data[i] = []byte{}
		}
		f.Digest = digest
		next.files[i] = pool.parse(f, data[i], earlier)
	}
	correct := pool.wait() && readable
	if correct && next.equal(&before) {
		return previous, nil
	}
	if correct {
		if t := next.table(previous, workers > 1); t != nil {
			return t, nil
		}
	}
	t, err := s.build(next.files, files, data)
	if !readable {
		return nil, err // fail closed: mappings are missing, disabled ones perhaps
	}
	return t, err
}

// find returns what was parsed of an earlier content of a file with the same settings, or nil.
func (o *source) find(f hook.File, s *settings) *parsedFile {
	if f.Digest == ([sha256.Size]byte{}) || !maps.Equal(o.ports, s.ports) || (o.ports == nil) != (s.ports == nil) {
		return nil
	}
	for _, p := range o.files {
		if p.file.Name == f.Name {
			return p
		}
	}
	return nil
}

// current is piece.current for all pieces.
func (f *parsedFile) current(s *settings) bool {
	return !slices.ContainsFunc(f.pieces, func(p *piece) bool { return !p.current(s) })
}

// equal reports whether two sources are of the same parsed files.
func (o *source) equal(other *source) bool {
	if len(o.files) != len(other.files) || len(o.files) == 0 {
		return false
	}
	for i, f := range o.files {
		if f.file.Name != other.files[i].file.Name || !slices.Equal(f.pieces, other.files[i].pieces) {
			return false
		}
	}
	return true
}

// build makes the table one mapping after another, and reports every error. A file that is
// nil among the data was taken from the previous table, or could not be read.
func (s *settings) build(done []*parsedFile, files []hook.File, data [][]byte) (*Table, error) {
	b := newBuilder(0)
	reported := map[string]bool{}
	for i, f := range files {
		l := s.reader(f.Name, &b.report, b)
		l.reported = reported
		switch {
		case b.report.full():
		case data[i] == nil && done[i] != nil:
			for _, p := range placePages(done[i]) {
				for j := range p.records {
					e := p.entry(j)
					b.addEntry(&e)
				}
			}
		case data[i] == nil:
		case isJSONLines(f.Name):
			if _, n := l.readLines(data[i]); n == 0 {
				l.rejectNoLines()
			}
		default:
			l.readYAML(data[i])
		}
	}
	return b.table()
}

func isJSONLines(name string) bool { return strings.HasSuffix(name, ".jsonl") }
