// Package replacefile replaces the content of a file. A reader sees the whole old or the
// whole new content, and the file keeps its owner, group and mode.
package replacefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrOwner is wrapped by the error of Write if it cannot keep owner and group of the file.
var ErrOwner = errors.New("owner and group of the file cannot be kept")

// Options are the options of Write.
type Options struct {
	// Mode is the mode of a new file. An existing file keeps its own, and its owner and
	// group.
	Mode fs.FileMode
	// Like gives a new file the owner, group and mode of another one, in place of Mode.
	Like string
	// MayChangeOwner makes the writer the owner of the file if it cannot keep the old
	// owner. Otherwise that is an error, and nothing is written.
	MayChangeOwner bool
	// Check is called when the new content is complete, right before it replaces the old
	// content. Its error keeps the old content. It may be nil.
	Check func() error
}

// Write writes a new file beside the old one and renames it. If the file is a symbolic link,
// Write replaces the file that the link points to.
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
	defer os.Remove(f.Name()) // fails after the rename, as it should
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := o.copyOwnerAndMode(f, target); err != nil {
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

// CopyOwner gives an open file or folder the owner and group of another. It changes nothing if
// that is not allowed, or if owners are unknown here.
func CopyOwner(f *os.File, of fs.FileInfo) { _ = keepOwner(f, of) }

// copyOwnerAndMode gives the new file the owner, group and mode of the old one.
func (o *Options) copyOwnerAndMode(f *os.File, target string) error {
	mode := o.Mode
	old, err := os.Stat(target)
	if errors.Is(err, fs.ErrNotExist) && o.Like != "" {
		old, err = os.Stat(o.Like)
	}
	switch {
	case err == nil:
		if err := keepOwner(f, old); err != nil && !o.MayChangeOwner {
			return fmt.Errorf("%w: %w", ErrOwner, err)
		}
		mode = old.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return f.Chmod(mode) // last, because a change of owner clears bits
}
