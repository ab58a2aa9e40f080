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

	"github.com/mtlsguard/mtlsguard/internal/mistake"
)

// maxFile bounds what is read from one file.
const maxFile = 64 << 20

// files reads everything that one configuration names, each file once, and
// remembers the content by its digest: that is what is watched.
type files struct {
	fsys fs.FS // nil: the operating system's
	read map[string]content
}

type content struct {
	data   []byte
	digest [sha256.Size]byte
	err    error
}

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

// need is get, with a failure noted as a mistake at the place that names the file.
func (f *files) need(wrong *mistake.List, at mistake.Mistake, name string) ([]byte, bool) {
	data, err := f.get(name)
	if err != nil {
		at.What = err.Error()
		at.Hint = "paths are relative to the file that they stand in"
		wrong.Add(at)
		return nil, false
	}
	return data, true
}

func (f *files) load(name string) content {
	data, err := f.slurp(name)
	if err != nil {
		// The text of the error counts as content: a file that appears is a change.
		return content{err: err, digest: sha256.Sum256([]byte("error: " + err.Error()))}
	}
	return content{data: data, digest: sha256.Sum256(data)}
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
		return nil, fmt.Errorf("%s is not a file", name)
	}
	file, err := open()
	if err != nil {
		return nil, short(name, err)
	}
	defer file.Close()
	var buf bytes.Buffer
	buf.Grow(int(min(info.Size(), maxFile)))
	n, err := io.Copy(&buf, io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, short(name, err)
	}
	if n > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
	}
	return buf.Bytes(), nil
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
	if len(f.read) != len(g.read) {
		return false
	}
	for name, c := range f.read {
		if other, ok := g.read[name]; !ok || other.digest != c.digest {
			return false
		}
	}
	return true
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
