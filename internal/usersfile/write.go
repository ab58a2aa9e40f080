package usersfile

import (
	"bytes"
	"errors"
	"os"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/replacefile"
)

// Write replaces a file whose content was old when it was read. Owner, group and mode
// stay: otherwise a server that runs as another user could no longer read the file. If
// the content has changed in the meantime, Write returns an error and writes nothing.
func Write(name string, old, data []byte) error {
	if _, err := os.Stat(name); err != nil {
		return writeError(name, err)
	}
	return writeError(name, replacefile.Write(name, data, replacefile.Options{Check: func() error {
		now, err := os.ReadFile(name)
		if err == nil && !bytes.Equal(now, old) {
			err = &configerror.Error{File: name, What: "the file was changed in the meantime", Hint: "nothing was written: run the command again"}
		}
		return err
	}}))
}

// Create writes a new file with the owner, group and mode of another. It returns an error if the
// file exists.
func Create(name, like string, data []byte) error {
	return writeError(name, replacefile.Write(name, data, replacefile.Options{Like: like, Check: func() error {
		if _, err := os.Lstat(name); err == nil {
			return &configerror.Error{File: name, What: "the file exists now", Hint: "nothing was written: run the command again"}
		}
		return nil
	}}))
}

// Delete deletes a file whose content was old when it was read.
func Delete(name string, old []byte) error {
	now, err := os.ReadFile(name)
	if err == nil && !bytes.Equal(now, old) {
		err = &configerror.Error{File: name, What: "the file was changed in the meantime", Hint: "it was not deleted: run the command again"}
	}
	if err == nil {
		err = os.Remove(name)
	}
	return writeError(name, err)
}

func writeError(name string, err error) error {
	switch {
	case err == nil || len(configerror.All(err)) > 0:
		return err
	case errors.Is(err, replacefile.ErrOwner):
		return &configerror.Error{File: name, What: err.Error(), Hint: "nothing was written: run the command as the file's owner"}
	}
	return &configerror.Error{File: name, What: "the file cannot be written: " + err.Error(), Hint: "nothing was written: check the permissions of the folder"}
}
