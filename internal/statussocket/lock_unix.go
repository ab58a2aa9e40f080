//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package statussocket

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/filelock"
)

// lockFolder locks a folder. A lock file could be left behind. Every user who may read the
// folder can lock it too, so after a time a lock of another process is ignored: a stranger on
// the machine must not keep the server from starting or ending.
func lockFolder(name string, wait time.Duration) (unlock func(), err error) {
	dir, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		err = filelock.TryLock(dir)
		held := errors.Is(err, filelock.ErrHeld)
		switch {
		case err == nil, held && time.Now().After(end):
			return func() { filelock.Close(dir) }, nil
		case !held:
			dir.Close()
			return nil, &os.PathError{Op: "lock", Path: name, Err: err}
		}
	}
}

// isRefused reports whether no server listens at a socket.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
