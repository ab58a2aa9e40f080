package usersfile

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// lockTimeout bounds the wait for another command. An edit takes milliseconds.
const lockTimeout = 10 * time.Second

var errLocked = errors.New("locked")

// Lock makes other commands that edit the file wait until unlock is called. Lock before
// you read the file: otherwise two commands could read the same content, and the second
// to write would undo the change of the first. Write detects editors that take no lock.
func Lock(name string) (unlock func(), err error) {
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, &configerror.Error{File: name, What: "the file cannot be found: " + err.Error(), Hint: "name the file of users"}
	}
	for end := time.Now().Add(lockTimeout); ; time.Sleep(5 * time.Millisecond) {
		switch unlock, err = tryLock(target); {
		case err == nil:
			return unlock, nil
		case !errors.Is(err, errLocked):
			return nil, &configerror.Error{File: name, What: "the file cannot be locked: " + err.Error(), Hint: "nothing was written: edit the file by hand, or run the command on a file system that supports locks"}
		case time.Now().After(end):
			return nil, &configerror.Error{File: name, What: fmt.Sprintf("another command has held the lock of the file for %s", lockTimeout), Hint: "nothing was written: end that command and try again"}
		}
	}
}
