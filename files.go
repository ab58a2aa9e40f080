package mtlsguard

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// maxFile bounds what is read from one file.
const maxFile = 256 << 20 // a million mappings in YAML are 100 MiB

// files reads everything that one configuration names, each file once, and
// remembers the content by its digest: that is what is watched.
type files struct {
	fsys fs.FS // nil: the operating system's
	read map[string]content
}

type content struct {
	data   []byte
	digest [sha256.Size]byte
	end    end
	err    error
}

// end is how a file ends.
type end int

const (
	noEnd   end = iota // it is empty
	openEnd            // in the middle of a line, as far as one can tell
	lineEnd
)

func endOf(data []byte) end {
	switch {
	case len(data) == 0:
		return noEnd
	case data[len(data)-1] == '\n', isDER(data):
		return lineEnd
	case isPEM(data) && bytes.Count(data, []byte("-----BEGIN ")) == 1 && bytes.HasSuffix(data, []byte("-----")):
		return lineEnd // its one block is whole
	}
	return openEnd
}

// isPEM and isDER recognise files that tell their own end: cut off, they are nothing.
func isPEM(data []byte) bool { return bytes.HasPrefix(data, []byte("-----BEGIN ")) }

func isDER(data []byte) bool { return len(data) > 1 && data[0] == 0x30 && data[1] > 0x80 }

func newFiles(fsys fs.FS) *files { return &files{fsys: fsys, read: map[string]content{}} }

// beside resolves a name that stands in a file.
func (f *files) beside(file, name string) string {
	if f.fsys != nil {
		return path.Join(path.Dir(file), name)
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}

// get returns a file's content. Within one files it is the same at every call.
func (f *files) get(name string) ([]byte, error) {
	if c, ok := f.read[name]; ok {
		return c.data, c.err
	}
	c := f.load(name)
	f.read[name] = c
	return c.data, c.err
}

// list returns the CRL files in a folder, and whether the name is a folder at all.
// What lies in it is watched: the list is content too.
func (f *files) list(name string) ([]string, bool) {
	if _, err := f.get(name); !errors.Is(err, errNoFile) {
		return nil, false
	}
	entries, err := f.entries(name)
	if err != nil {
		return nil, false
	}
	for i, e := range entries {
		entries[i] = f.beside(name+"/-", e)
	}
	return entries, true
}

// entries are the names of the CRL files in a folder. Hidden ones are none: mounted
// volumes have such, and whoever writes a file before renaming it.
func (f *files) entries(name string) ([]string, error) {
	read := os.ReadDir
	if f.fsys != nil {
		read = func(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.fsys, name) }
	}
	all, err := read(name)
	var out []string
	for _, e := range all {
		switch path.Ext(e.Name()) {
		case ".crl", ".pem", ".der":
			if e.Name()[0] != '.' {
				out = append(out, e.Name())
			}
		}
	}
	return out, err
}

func listDigest(entries []string) [sha256.Size]byte {
	h := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(h, "%q\n", e)
	}
	var out [sha256.Size]byte
	h.Sum(out[:0])
	return out
}

// forget makes the next get read a file anew.
func (f *files) forget(name string) { delete(f.read, name) }

func (f *files) load(name string) content {
	data, err := f.slurp(name)
	if errors.Is(err, errNoFile) {
		if entries, err := f.entries(name); err == nil {
			return content{digest: listDigest(entries), end: lineEnd, err: fmt.Errorf("%s %w", name, errNoFile)}
		}
	}
	if err != nil {
		// The text of the error counts as content: a file that appears is a change.
		return content{err: err, digest: sha256.Sum256([]byte("error: " + err.Error()))}
	}
	return content{data: data, digest: sha256.Sum256(data), end: endOf(data)}
}

func (f *files) slurp(name string) ([]byte, error) {
	open := func() (fs.File, error) { return os.Open(name) }
	stat := func() (fs.FileInfo, error) { return os.Stat(name) }
	if f.fsys != nil {
		open = func() (fs.File, error) { return f.fsys.Open(name) }
		stat = func() (fs.FileInfo, error) { return fs.Stat(f.fsys, name) }
	}
	info, err := stat() // before opening: opening a pipe would wait for its writer
	switch {
	case err != nil:
		return nil, short(name, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s %w", name, errNoFile)
	case info.Size() > maxFile: // not read at all: it would be, at every look
		return nil, tooLarge(name)
	}
	file, err := open()
	if err != nil {
		return nil, short(name, err)
	}
	defer file.Close()
	var buf bytes.Buffer
	buf.Grow(int(max(info.Size(), 0)) + bytes.MinRead)
	n, err := io.Copy(&buf, io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, short(name, err)
	}
	if n > maxFile {
		return nil, tooLarge(name)
	}
	return buf.Bytes(), nil
}

// errNoFile is for folders, pipes and devices.
var errNoFile = errors.New("is not a file")

func tooLarge(name string) error {
	return fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
}

func short(name string, err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	return fmt.Errorf("%s cannot be read: %w", name, err)
}

// changed reports whether any file now has another content than f read.
func (f *files) changed() bool {
	for name, c := range f.read {
		if f.load(name).digest != c.digest {
			return true
		}
	}
	return false
}

// same reports whether two readings found the same files with the same content.
func (f *files) same(g *files) bool {
	return len(f.read) == len(g.read) && f.agrees(g)
}

// agrees reports whether everything that f read is what g found.
func (f *files) agrees(g *files) bool {
	for name, c := range f.read {
		if other, ok := g.read[name]; !ok || other.digest != c.digest {
			return false
		}
	}
	return true
}

// cutDiffers reports whether a file has lost the end of its last line since old was
// read: it may be in the middle of being written.
func (f *files) cutDiffers(old *files) bool {
	for name, c := range f.read {
		if c.end == openEnd && old.read[name].end == lineEnd {
			return true
		}
	}
	return false
}

// textDiffers reports whether a file that differs from what old read is a text: one
// that does not tell its own end, as PEM and DER do. A folder is none.
func (f *files) textDiffers(old *files) bool {
	for name, c := range f.read {
		if c.digest != old.read[name].digest && !isPEM(c.data) && !isDER(c.data) && !errors.Is(c.err, errNoFile) {
			return true
		}
	}
	return false
}

// again reads the same names anew.
func (f *files) again() *files {
	g := newFiles(f.fsys)
	for name := range f.read {
		g.read[name] = g.load(name)
	}
	return g
}

// drop forgets the content and keeps the digests.
func (f *files) drop() {
	for name, c := range f.read {
		c.data = nil
		f.read[name] = c
	}
}
