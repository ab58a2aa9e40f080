package certfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxFileBytes is the largest file that a server reads.
const maxFileBytes = 256 << 20

// ReadFile reads a regular file of at most 256 MiB. Pipes and devices are rejected because
// they could block the command or fill its memory. An empty file is an error.
func ReadFile(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // without O_NONBLOCK, opening a pipe waits for a writer
	if err != nil {
		if inner, ok := errors.AsType[*os.PathError](err); ok {
			err = inner.Err
		}
		return nil, fileError(name, "the file cannot be read: "+err.Error(), "check the name and the permissions")
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fileError(name, "the file cannot be read: "+err.Error(), "check the name")
	case !info.Mode().IsRegular():
		return nil, fileError(name, "the name is not that of a regular file", "name a file, not a folder, pipe or device")
	}
	if info.Size() > maxFileBytes {
		return nil, fileError(name, fmt.Sprintf("the file is larger than %d MiB", maxFileBytes>>20), "name a smaller file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, fileError(name, "the file cannot be read: "+err.Error(), "try again")
	case len(data) > maxFileBytes:
		return nil, fileError(name, fmt.Sprintf("the file is larger than %d MiB", maxFileBytes>>20), "name a smaller file")
	case len(data) == 0:
		return nil, fileError(name, "the file is empty", "name a file with content")
	}
	return data, nil
}
