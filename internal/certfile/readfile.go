package certfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxFile is what a server reads of one file at the most.
const maxFileBytes = 256 << 20

// Slurp reads a regular file of a bounded size. A pipe or a device is a mistake, and
// so is an empty file: neither can hold up a command or fill its memory.
func ReadFile(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // opening a pipe would wait for its writer
	if err != nil {
		if inner, ok := errors.AsType[*os.PathError](err); ok {
			err = inner.Err
		}
		return nil, fileError(name, "the file cannot be read: "+err.Error(), "is the name right, and may you read it?")
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fileError(name, "the file cannot be read: "+err.Error(), "is the name right?")
	case !info.Mode().IsRegular():
		return nil, fileError(name, "this is not a regular file", "name a file, not a folder, pipe or device")
	}
	if info.Size() > maxFileBytes {
		return nil, fileError(name, fmt.Sprintf("the file is larger than %d MiB", maxFileBytes>>20), "is it the right file?")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, fileError(name, "the file cannot be read: "+err.Error(), "try again")
	case len(data) > maxFileBytes:
		return nil, fileError(name, fmt.Sprintf("the file is larger than %d MiB", maxFileBytes>>20), "is it the right file?")
	case len(data) == 0:
		return nil, fileError(name, "the file is empty", "is it the right file?")
	}
	return data, nil
}
