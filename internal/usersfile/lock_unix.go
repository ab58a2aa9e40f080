//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package usersfile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// tryLock locks the folder. Every edit replaces the file itself, and a lock file could be
// left behind.
func tryLock(target string) (func(), error) {
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return func() { dir.Close() }, nil // closing unlocks
	}
	dir.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		err = errLocked
	}
	return nil, err
}
