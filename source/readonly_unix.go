//go:build unix

package source

import (
	"errors"
	"syscall"
)

// isReadOnly reports whether an error means that a file system cannot be written.
func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
