//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package usersfile

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/mtlsguard/mtlsguard/internal/filelock"
)

// tryLock locks the folder. Every edit replaces the file itself, and a lock file could be
// left behind.
func tryLock(target string) (func(), error) {
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	if err := filelock.TryLock(dir); err != nil {
		dir.Close()
		if errors.Is(err, filelock.ErrHeld) {
			err = errLocked
		}
		return nil, err
	}
	return func() { filelock.Close(dir) }, nil
}
