package source

import (
	"context"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// FS returns the files of g: the same names and the same bytes, whenever they are read. Each
// reading is checked as Open does. Files of a generation straight from a store are read from the
// store, without a deadline: use Fetch or a Keep first. Sys of a file's information is its Digest.
func (g *Generation) FS() fs.FS { return files{g} }

// SHA256 returns the digest as an array.
func (d Digest) SHA256() [32]byte { return d }

// files is the file system of a generation.
type files struct{ g *Generation }

// Open opens a file or a folder.
func (f files) Open(name string) (fs.File, error) {
	e, err := f.entry("open", name)
	if err != nil {
		return nil, err
	}
	if e.IsDir() {
		return &folder{entry: e, names: f.list(name)}, nil
	}
	r, err := f.g.Open(context.Background(), e.file)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &opened{ReadCloser: r, entry: e}, nil
}

// Stat describes a file or a folder, and reads nothing.
func (f files) Stat(name string) (fs.FileInfo, error) { return f.entry("stat", name) }

// entry finds a name: a file, or the folder of a file.
func (f files) entry(op, name string) (entry, error) {
	if !fs.ValidPath(name) {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	all := f.g.Manifest.Files
	i, found := slices.BinarySearchFunc(all, name, func(a File, name string) int { return strings.Compare(a.Name, name) })
	e := entry{name: path.Base(name), at: f.g.Manifest.At}
	switch {
	case found:
		e.file, e.isFile = all[i], true
	case name == "." || slices.ContainsFunc(all, func(a File) bool { return strings.HasPrefix(a.Name, name+"/") }):
	default:
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return e, nil
}

// list returns what is in a folder, sorted by name.
func (f files) list(name string) []fs.DirEntry {
	prefix := name + "/"
	if name == "." {
		prefix = ""
	}
	var out []fs.DirEntry
	for _, a := range f.g.Manifest.Files {
		rest, ok := strings.CutPrefix(a.Name, prefix)
		if !ok {
			continue
		}
		first, _, deeper := strings.Cut(rest, "/")
		e := entry{name: first, at: f.g.Manifest.At}
		if !deeper {
			e.file, e.isFile = a, true
		}
		out = append(out, fs.FileInfoToDirEntry(e))
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return slices.CompactFunc(out, func(a, b fs.DirEntry) bool { return a.Name() == b.Name() })
}

// entry describes a file or a folder.
type entry struct {
	name   string
	at     time.Time
	file   File
	isFile bool
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return e.file.Size }
func (e entry) ModTime() time.Time { return e.at }
func (e entry) IsDir() bool        { return !e.isFile }

func (e entry) Mode() fs.FileMode {
	if e.isFile {
		return 0o444
	}
	return fs.ModeDir | 0o555
}

// Sys returns the Digest of a file, and nil for a folder.
func (e entry) Sys() any {
	if e.isFile {
		return e.file.SHA256
	}
	return nil
}

// opened is an open file.
type opened struct {
	io.ReadCloser
	entry entry
}

func (o *opened) Stat() (fs.FileInfo, error) { return o.entry, nil }

// folder is an open folder.
type folder struct {
	entry entry
	names []fs.DirEntry // not read yet
}

func (d *folder) Stat() (fs.FileInfo, error) { return d.entry, nil }
func (d *folder) Close() error               { return nil }

func (d *folder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.entry.name, Err: fs.ErrInvalid}
}

// ReadDir returns the next n entries, or all if n is not positive.
func (d *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n > 0 && len(d.names) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.names) {
		n = len(d.names)
	}
	out := d.names[:n]
	d.names = d.names[n:]
	return out, nil
}
