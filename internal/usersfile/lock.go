package usersfile

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// lockTime bounds the wait for another command that edits the same folder. One edit
// takes milliseconds.
const lockTimeout = 10 * time.Second

var errLocked = errors.New("locked")

// Lock keeps other commands from editing a file until unlock is called. It has to be
// taken before the file is read: otherwise two commands could read the same content,
// and the second to write would undo the first. Editors that know no lock are noticed
// by Write.
func Lock(name string) (unlock func(), err error) {
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, &configerror.Error{File: name, What: err.Error(), Hint: "name the file of users"}
	}
	for end := time.Now().Add(lockTimeout); ; time.Sleep(5 * time.Millisecond) {
		switch unlock, err = tryLock(target); {
		case err == nil:
			return unlock, nil
		case !errors.Is(err, errLocked):
			return nil, &configerror.Error{File: name, What: "the file cannot be locked: " + err.Error(), Hint: "nothing was written: edit it by hand, or run the command where the folder can be locked"}
		case time.Now().After(end):
			return nil, &configerror.Error{File: name, What: fmt.Sprintf("another command has edited the file for %s", lockTimeout), Hint: "nothing was written: end that command and try again"}
		}
	}
}
