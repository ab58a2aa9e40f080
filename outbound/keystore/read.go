package keystore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
)

const maxFileBytes = 1 << 20

// readFile returns a file's content, and whether every user of the machine may read it. It
// follows links, because mounted secrets are links; the target must be a regular file.
func readFile(name string) (data []byte, public bool, err error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // without O_NONBLOCK, opening a pipe waits for a writer
	if err != nil {
		return nil, false, withoutPath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, false, withoutPath(err)
	case !info.Mode().IsRegular():
		return nil, false, errors.New("this is not a regular file")
	}
	data, err = io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, false, withoutPath(err)
	case len(data) > maxFileBytes:
		return nil, false, fmt.Errorf("the file is larger than %d KiB", maxFileBytes>>10)
	case len(data) == 0:
		return nil, false, errors.New("the file is empty")
	}
	return data, info.Mode().Perm()&0o007 != 0 && runtime.GOOS != "windows", nil
}

// withoutPath returns the cause of an error without the file's name, which the caller
// reports.
func withoutPath(err error) error {
	if inner, ok := errors.AsType[*os.PathError](err); ok {
		return inner.Err
	}
	return err
}
