package fileset

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
	"time"
)

// maxFile bounds what is read from one file.
const maxFile = 256 << 20 // a million mappings in YAML are 100 MiB

// Reader reads all files that one configuration names, each file once, and keeps content
// and digest: the watcher compares the digests.
type Reader struct {
	FS   fs.FS // nil: the operating system's
	Read Set   // by name
	// Retry is when the same content may load although it did not: a CRL begins to be
	// valid, a server answers again. Zero: never, only other content can help.
	Retry time.Time
}

// RetryAt notes a time for Retry. The earliest counts.
func (f *Reader) RetryAt(at time.Time) {
	if f.Retry.IsZero() || at.Before(f.Retry) {
		f.Retry = at
	}
}

// New returns a Reader of a file system; nil is the operating system's.
func New(fsys fs.FS) *Reader { return &Reader{FS: fsys, Read: Set{}} }

// Beside resolves a name that is written in a file.
func (f *Reader) Beside(file, name string) string {
	if f.FS != nil {
		return path.Join(path.Dir(file), name)
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}

// Get returns a file's content. A Reader returns the same at every call.
func (f *Reader) Get(name string) ([]byte, error) {
	if c, ok := f.Read[name]; ok {
		return c.Data, c.Err
	}
	c := f.load(name)
	f.Read[name] = c
	return c.Data, c.Err
}

// Digest returns the digest of a file's content, and the error of Get.
func (f *Reader) Digest(name string) ([sha256.Size]byte, error) {
	_, err := f.Get(name)
	return f.Read[name].Digest, err
}

// List returns the CRL files in a folder, and whether the name is a folder at all.
// What lies in it is watched: the list is content too.
func (f *Reader) List(name string) ([]string, bool) {
	if _, err := f.Get(name); !errors.Is(err, ErrNoFile) {
		return nil, false
	}
	entries, err := f.entries(name)
	if err != nil {
		return nil, false
	}
	for i, e := range entries {
		entries[i] = f.Beside(name+"/-", e)
	}
	return entries, true
}

// entries are the names of the CRL files in a folder. Hidden ones are none: mounted
// volumes have such, and whoever writes a file before renaming it.
func (f *Reader) entries(name string) ([]string, error) {
	read := os.ReadDir
	if f.FS != nil {
		read = func(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.FS, name) }
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

// Whole marks a file whose blocks are good together only.
func (f *Reader) Whole(name string) {
	if c, ok := f.Read[name]; ok {
		c.Whole = true
		f.Read[name] = c
	}
}

// Forget makes the next Get read a file anew.
func (f *Reader) Forget(name string) { delete(f.Read, name) }

func (f *Reader) load(name string) Content {
	data, err := f.slurp(name)
	if errors.Is(err, ErrNoFile) {
		if entries, err := f.entries(name); err == nil {
			return Folder(listDigest(entries), fmt.Errorf("%s %w", name, ErrNoFile))
		}
	}
	if err != nil {
		return Failed(err)
	}
	return Of(data)
}

func (f *Reader) slurp(name string) ([]byte, error) {
	open := func() (fs.File, error) { return os.Open(name) }
	stat := func() (fs.FileInfo, error) { return os.Stat(name) }
	if f.FS != nil {
		open = func() (fs.File, error) { return f.FS.Open(name) }
		stat = func() (fs.FileInfo, error) { return fs.Stat(f.FS, name) }
	}
	info, err := stat() // before opening: opening a pipe would wait for its writer
	switch {
	case err != nil:
		return nil, short(name, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s %w", name, ErrNoFile)
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

func tooLarge(name string) error {
	return fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
}

func short(name string, err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	return fmt.Errorf("%s cannot be read: %w", name, err)
}

// Changed reports whether any file now has other content than f has read.
func (f *Reader) Changed() bool {
	for name, c := range f.Read {
		if f.load(name).Digest != c.Digest {
			return true
		}
	}
	return false
}

// Again reads the same names anew.
func (f *Reader) Again() Set {
	out := Set{}
	for name := range f.Read {
		out[name] = f.load(name)
	}
	return out
}
