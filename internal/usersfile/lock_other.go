//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package usersfile

import (
	"errors"
	"os"
)

// tryLock creates a file beside the target. Delete it by hand if a killed command has left
// it behind.
func tryLock(target string) (func(), error) {
	name := target + ".lock"
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, errLocked
	}
	if err != nil {
		return nil, err
	}
	return func() { f.Close(); os.Remove(name) }, nil
}
