package keystore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
)

const maxFile = 1 << 20 // bytes of one file

// read returns a file's content, and whether anybody on the machine may open it.
// Links are followed, because mounted secrets are links; what they lead to must be a
// regular file.
func read(name string) (data []byte, open bool, err error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a named pipe must not hold it up
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
	data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, false, withoutPath(err)
	case len(data) > maxFile:
		return nil, false, fmt.Errorf("the file is larger than %d KiB", maxFile>>10)
	case len(data) == 0:
		return nil, false, errors.New("the file is empty")
	}
	return data, info.Mode().Perm()&0o007 != 0 && runtime.GOOS != "windows", nil
}

// plainly drops the name from an error that will be told with it.
func withoutPath(err error) error {
	if inner, ok := errors.AsType[*os.PathError](err); ok {
		return inner.Err
	}
	return err
}
