//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package filelock

import (
	"errors"
	"os"
	"syscall"
)

// TryLock locks an open file or folder until Close. It does not wait: the error is ErrHeld if the lock is
// taken.
func TryLock(f *os.File) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrHeld
		default:
			return err
		}
	}
}

// Close unlocks f and closes it. To close alone is not enough: a program that this process is just starting
// has the descriptor until its exec, and so would keep the lock for a moment.
func Close(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // if it fails, closing still unlocks
	f.Close()
}
