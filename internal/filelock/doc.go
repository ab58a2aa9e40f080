// Package filelock locks files and folders between processes, with flock(2). A lock ends with its process,
// however that ends.
package filelock

import "errors"

// ErrHeld is the error of TryLock if another process, or another open file of this one, has the lock.
var ErrHeld = errors.New("another process has the lock")
