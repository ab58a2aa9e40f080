package certfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxFile is what a server reads of one file at the most.
const maxFile = 256 << 20

// Slurp reads a regular file of a bounded size. A pipe or a device is a mistake, and
// so is an empty file: neither can hold up a command or fill its memory.
func Slurp(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // opening a pipe would wait for its writer
	if err != nil {
		if inner, ok := errors.AsType[*os.PathError](err); ok {
			err = inner.Err
		}
		return nil, wrong(name, "the file cannot be read: "+err.Error(), "is the name right, and may you read it?")
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, wrong(name, "the file cannot be read: "+err.Error(), "is the name right?")
	case !info.Mode().IsRegular():
		return nil, wrong(name, "this is not a regular file", "name a file, not a folder, pipe or device")
	}
	if info.Size() > maxFile {
		return nil, wrong(name, fmt.Sprintf("the file is larger than %d MiB", maxFile>>20), "is it the right file?")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, wrong(name, "the file cannot be read: "+err.Error(), "try again")
	case len(data) > maxFile:
		return nil, wrong(name, fmt.Sprintf("the file is larger than %d MiB", maxFile>>20), "is it the right file?")
	case len(data) == 0:
		return nil, wrong(name, "the file is empty", "is it the right file?")
	}
	return data, nil
}
