//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package usersfile

import (
	"errors"
	"os"
)

// tryLock makes a file beside the target. One that a killed command has left behind
// has to be deleted by hand.
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
