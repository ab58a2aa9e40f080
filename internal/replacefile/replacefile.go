// Package replacefile writes a file so that a reader sees the old or the new content,
// whole, and so that who may read it stays the same.
package replacefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrOwner is in the error where owner and group of the file cannot be kept.
var ErrOwner = errors.New("owner and group of the file cannot be kept")

// Options say how a file is replaced.
type Options struct {
	// Mode is that of a file that is not there yet. One that is there keeps its own, and
	// its owner and group.
	Mode fs.FileMode
	// MayChangeOwner lets the writer become the owner where only the file's owner could
	// keep it. Otherwise that is an error, and nothing is written.
	MayChangeOwner bool
	// Check is called when the new content is complete, right before it takes the old
	// one's place; its error leaves the old content. It may be nil.
	Check func() error
}

// Write replaces the content of a file by way of a new file beside it. Where the file is
// a link, what it leads to is replaced.
func Write(name string, data []byte, o Options) error {
	target, err := filepath.EvalSymlinks(name)
	if errors.Is(err, fs.ErrNotExist) {
		target, err = name, nil
	}
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when it was renamed
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := o.like(f, target); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if o.Check != nil {
		if err := o.Check(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), target)
}

// like gives the new file what the old one has.
func (o *Options) like(f *os.File, target string) error {
	mode := o.Mode
	switch old, err := os.Stat(target); {
	case err == nil:
		if err := keepOwner(f, old); err != nil && !o.MayChangeOwner {
			return fmt.Errorf("%w: %w", ErrOwner, err)
		}
		mode = old.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return f.Chmod(mode) // after the owner, which clears bits
}
