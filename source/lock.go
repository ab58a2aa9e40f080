package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/filelock"
)

// lockFile is the file of a Keep that is locked. It stays: to remove it would unlock another process.
const lockFile = "lock"

// Lock keeps others from writing to the folder until unlock is called or the process ends, however it
// ends. It makes the folder if there is none. It locks nothing where nothing can be written, and on systems
// without flock. The error is a *configerror.Error if another process has the lock.
func (k *Keep) Lock() (unlock func(), err error) {
	if err := k.checkNoStore(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(k.path, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(k.join(lockFile), os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		if _, missing := os.Lstat(k.join(lockFile)); isNotExist(missing) && (isReadOnly(err) || errors.Is(err, fs.ErrPermission)) {
			return func() {}, nil // others cannot write here either, or this process cannot
		}
		return nil, fmt.Errorf("the folder keep cannot be locked: %w", err)
	}
	switch err := filelock.TryLock(f); {
	case err == nil, errors.Is(err, errors.ErrUnsupported):
		return func() { filelock.Close(f) }, nil
	case errors.Is(err, filelock.ErrHeld):
		f.Close()
		return nil, &configerror.Error{
			What: fmt.Sprintf("keep: the folder %s is in use by another process", k.path),
			Hint: "stop that process, or give each server a folder keep of its own",
		}
	default:
		f.Close()
		return nil, &configerror.Error{
			What: fmt.Sprintf("keep: the folder %s cannot be locked: %s", k.path, err),
			Hint: "name a folder on a local disk",
		}
	}
}

// checkNoStore reports a folder of a store: its generations would be taken for damaged ones, and be replaced.
func (k *Keep) checkNoStore() error {
	if _, err := os.Lstat(k.join("head")); err == nil {
		return fmt.Errorf("%s is the folder of a store: use another folder for keep", k.path)
	}
	return nil
}
