//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package filelock

import (
	"errors"
	"os"
)

// TryLock fails with errors.ErrUnsupported: this system has no flock.
func TryLock(*os.File) error { return errors.ErrUnsupported }

// Close closes f.
func Close(f *os.File) { f.Close() }
