package fileset

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Mount is a folder whose names come from a file system of its own, and never from what lies
// there otherwise. Files of FS do not change: the information of each has a digest as Sys, with a method
// SHA256.
type Mount struct {
	Folder string // as Beside returns it
	FS     fs.FS  // nil: there is nothing in it
}

// Remount puts other files into the mount, for what f reads from now on.
func (f *Reader) Remount(fsys fs.FS) { f.Mount = &Mount{Folder: f.Mount.Folder, FS: fsys} }

// noFiles is a file system without files.
type noFiles struct{}

func (noFiles) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Mounted reports whether a name is the mount, or below it.
func (f *Reader) Mounted(name string) bool {
	_, _, ok := f.mounted(name)
	return ok
}

// Inside returns the name in the mount of a file there, or "".
func (f *Reader) Inside(name string) string {
	_, inside, _ := f.mounted(name)
	return inside
}

// mounted returns the file system of the mount and the name in it, if a name is there.
func (f *Reader) mounted(name string) (fsys fs.FS, inside string, ok bool) {
	if f.Mount == nil {
		return nil, "", false
	}
	if f.FS == nil {
		name = filepath.ToSlash(filepath.Clean(name))
	} else {
		name = path.Clean(name)
	}
	inside, ok = strings.CutPrefix(name, filepath.ToSlash(f.Mount.Folder))
	switch {
	case !ok || inside != "" && inside[0] != '/':
		return nil, "", false
	case inside == "":
		inside = "."
	default:
		inside = inside[1:]
	}
	if f.Mount.FS == nil {
		return noFiles{}, inside, true
	}
	return f.Mount.FS, inside, true
}

// stat describes a file.
func (f *Reader) stat(name string) (fs.FileInfo, error) {
	if fsys, inside, ok := f.mounted(name); ok {
		return fs.Stat(fsys, inside)
	}
	if f.FS != nil {
		return fs.Stat(f.FS, name)
	}
	return os.Stat(name)
}

// openFile opens a file.
func (f *Reader) openFile(name string) (fs.File, error) {
	if fsys, inside, ok := f.mounted(name); ok {
		return fsys.Open(inside)
	}
	if f.FS != nil {
		return f.FS.Open(name)
	}
	return os.Open(name)
}

// readDir lists a folder.
func (f *Reader) readDir(name string) ([]fs.DirEntry, error) {
	if fsys, inside, ok := f.mounted(name); ok {
		return fs.ReadDir(fsys, inside)
	}
	if f.FS != nil {
		return fs.ReadDir(f.FS, name)
	}
	return os.ReadDir(name)
}

// known returns the content of a file whose digest is known without reading it.
func (f *Reader) known(name string) (Content, bool) {
	info, err := f.stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return Content{}, false
	}
	s, ok := stampOf(info)
	if !ok || s.digest == [sha256.Size]byte{} {
		return Content{}, false
	}
	c := Content{Digest: s.digest, size: int(s.size), stamp: s, sure: true, end: lineEnd}
	if s.size == 0 {
		c.end = noEnd
	}
	return c, true
}
