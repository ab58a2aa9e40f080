//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package source

import (
	"errors"
	"os"
	"syscall"
)

// flock locks a file until it is closed. It does not wait.
func flock(f *os.File) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errHeld
		default:
			return err
		}
	}
}

// isReadOnly reports whether a file system cannot be written.
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
