package usersfile

import (
	"bytes"
	"errors"
	"os"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/replacefile"
)

// Write replaces a file that was read as old. Owner, group and mode stay: a server that
// runs as another user could not read the file any more. If the file has changed since
// it was read, it is left alone; see Lock.
func Write(name string, old, data []byte) error {
	if _, err := os.Stat(name); err != nil {
		return writeError(name, err)
	}
	return writeError(name, replacefile.Write(name, data, replacefile.Options{Check: func() error {
		now, err := os.ReadFile(name)
		if err == nil && !bytes.Equal(now, old) {
			err = &configerror.Error{File: name, What: "somebody else has changed the file meanwhile", Hint: "nothing was written: try again"}
		}
		return err
	}}))
}

func writeError(name string, err error) error {
	switch {
	case err == nil || len(configerror.All(err)) > 0:
		return err
	case errors.Is(err, replacefile.ErrOwner):
		return &configerror.Error{File: name, What: err.Error(), Hint: "nothing was written: run the command as the file's owner"}
	}
	return &configerror.Error{File: name, What: "the file was not written: " + err.Error(), Hint: "nothing has changed"}
}
