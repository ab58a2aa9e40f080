//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package statussocket

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// lockFolder locks a folder. A lock file could be left behind.
func lockFolder(name string) (unlock func(), err error) {
	dir, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockTimeout); ; time.Sleep(10 * time.Millisecond) {
		err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { dir.Close() }, nil // closing unlocks
		}
		if time.Now().After(end) || !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			dir.Close()
			return nil, &os.PathError{Op: "lock", Path: name, Err: err}
		}
	}
}

// isRefused reports whether no server listens at a socket.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
