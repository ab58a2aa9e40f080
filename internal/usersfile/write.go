package usersfile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mtlsguard/mtlsguard/internal/mistake"
)

// Write replaces a file that was read as old: beside it, then renamed over it, so that
// nobody reads half of it. Where the file is a link, what it leads to is replaced.
// Owner, group and mode stay: a server that runs as another user could not read the
// file any more. If the file has changed since, it is left alone; see Lock.
func Write(name string, old, data []byte) (err error) {
	defer func() {
		if err != nil && len(mistake.All(err)) == 0 {
			err = &mistake.Mistake{File: name, What: "the file was not written: " + err.Error(), Hint: "nothing has changed"}
		}
	}()
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
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
	if err := keepOwner(f, info); err != nil {
		return &mistake.Mistake{File: name, What: "owner and group of the file cannot be kept: " + err.Error(), Hint: "nothing was written: run the command as the file's owner"}
	}
	if err := f.Chmod(info.Mode().Perm()); err != nil { // after the owner, which clears bits
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	now, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, old) {
		return &mistake.Mistake{File: name, What: "somebody else has changed the file meanwhile", Hint: "nothing was written: try again"}
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return os.Rename(f.Name(), target)
}
