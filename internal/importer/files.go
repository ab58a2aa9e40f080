package importer

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
)

// maxBytes bounds the size of a source file.
const maxBytes = 64 << 20

// ReadFile reads a file of the source of at most 64 MiB.
func (in *Import) ReadFile(name string) ([]byte, error) {
	data, err := certfile.ReadFile(name)
	if err == nil && len(data) > maxBytes {
		err = &configerror.Error{File: name, What: fmt.Sprintf("the file is larger than %d MiB", maxBytes>>20), Hint: "split the file, or import a part of it"}
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains(in.sources, name) {
		in.sources = append(in.sources, name)
	}
	return data, nil
}

// Inside returns the path of a file that a source file names, relative to the folder of that
// file. A name that leads out of the folder, by itself or by a link, is an error: a source
// from elsewhere must not make the command read other files of this machine.
func (in *Import) Inside(source, name string) (string, error) {
	folder := filepath.Dir(source)
	outside := &configerror.Error{File: source, What: fmt.Sprintf("%q is not a file in the folder of %s", name, filepath.Base(source)), Hint: "copy the file into that folder, and name it relative to it"}
	if filepath.IsAbs(name) {
		relative, err := filepath.Rel(absolute(folder), name)
		if err != nil {
			return "", outside
		}
		name = relative
	}
	if !filepath.IsLocal(name) {
		return "", outside
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", outside
	}
	defer root.Close()
	if _, err := root.Stat(name); err != nil {
		return "", outside
	}
	return filepath.Join(folder, name), nil
}

// Glob returns the regular files that a source file names by a pattern, in the order of their names,
// relative to its folder. A pattern that leads out of the folder has none: outside, not even the
// names of folders are read.
func (in *Import) Glob(source, pattern string) (out []string) {
	folder := filepath.Dir(source)
	if filepath.IsAbs(pattern) {
		relative, err := filepath.Rel(absolute(folder), pattern)
		if err != nil {
			return nil
		}
		pattern = relative
	}
	pattern = filepath.Clean(pattern)
	root, err := os.OpenRoot(folder)
	if err != nil || !filepath.IsLocal(pattern) {
		return nil
	}
	defer root.Close()
	found, err := fs.Glob(root.FS(), filepath.ToSlash(pattern))
	if err != nil {
		return nil
	}
	slices.Sort(found)
	for _, name := range found {
		if info, err := root.Stat(name); err == nil && info.Mode().IsRegular() {
			out = append(out, filepath.Join(folder, name))
		}
	}
	return out
}

func absolute(name string) string {
	if out, err := filepath.Abs(name); err == nil {
		return out
	}
	return name
}
