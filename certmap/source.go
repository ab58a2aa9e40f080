package certmap

import (
	"crypto/sha256"
	"maps"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/usersload/hook"
	"github.com/mtlsguard/mtlsguard/trust"
)

func init() { hook.Load = loadFiles }

// settings are what the meaning of files depends on, besides their content.
type settings struct {
	ports   map[string]bool // nil means every name
	issuers *issuerKeys
}

func newSettings() *settings {
	return &settings{issuers: &issuerKeys{known: map[string]issuerKey{}}}
}

// source is what a table was loaded from.
type source struct {
	files []*parsed
	ports map[string]bool
}

// parsed is a file whose mappings are correct by themselves.
type parsed struct {
	file    hook.File // without Read
	pages   []*page
	n       int                     // mappings
	issuers map[string]trust.Digest // the keys of the issuers that it names by file
}

// loadFiles is hook.Load.
func loadFiles(previous *Table, files []hook.File, h hook.Settings) (*Table, error) {
	s := newSettings()
	if !h.AnyPort {
		WithPorts(h.Ports...)(s)
	}
	WithIssuers(h.ReadIssuer)(s)
	return s.load(previous, files, h.Workers)
}

// load makes the table of some files. It takes from a previous table what is the same.
//
// Files without an error are parsed by several goroutines, and what they give is put together
// without reading a line again. If anything is wrong, in a file or between two, everything
// goes through a builder once more, line by line: it alone reports errors.
func (s *settings) load(previous *Table, files []hook.File, workers int) (*Table, error) {
	next := &source{files: make([]*parsed, len(files)), ports: s.ports}
	data := make([][]byte, len(files)) // of the files that are read; nil for others
	var before source
	if previous != nil && previous.origin != nil {
		before = *previous.origin
	}
	pool := newPool(s, workers)
	readable := true
	for i, f := range files {
		if next.files[i] = before.find(f, s); next.files[i] != nil {
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
		next.files[i] = pool.parse(f, data[i])
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

// find returns what was parsed of a file if the same content with the same settings would
// give the same, or nil.
func (o *source) find(f hook.File, s *settings) *parsed {
	if f.Digest == ([sha256.Size]byte{}) || !maps.Equal(o.ports, s.ports) || (o.ports == nil) != (s.ports == nil) {
		return nil
	}
	for _, p := range o.files {
		if p.file.Name != f.Name || p.file.Digest != f.Digest {
			continue
		}
		for path, key := range p.issuers {
			if now, err := s.issuers.get(path); err != nil || now != key {
				return nil
			}
		}
		return p
	}
	return nil
}

// equal reports whether two sources are of the same parsed files.
func (o *source) equal(other *source) bool {
	if len(o.files) != len(other.files) || len(o.files) == 0 {
		return false
	}
	for i, p := range o.files {
		if p != other.files[i] {
			return false
		}
	}
	return true
}

// build makes the table one mapping after another, and reports every error. A file that is
// nil among the data was taken from the previous table, or could not be read.
func (s *settings) build(done []*parsed, files []hook.File, data [][]byte) (*Table, error) {
	b := newBuilder(0)
	reported := map[string]bool{}
	for i, f := range files {
		l := s.reader(f.Name, &b.report, b)
		l.reported = reported
		switch {
		case b.report.full():
		case data[i] == nil && done[i] != nil:
			for _, p := range done[i].pages {
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
