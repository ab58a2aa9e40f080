package usersfile

import (
	"errors"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/replacefile"
)

// perFile is how many mappings a file of a split folder has at most, on average. A change of
// one mapping then reads and parses some hundred KiB.
const perFile = 4000

// NewSplit returns how to split a file with a number of mappings. n is the number of files; 0
// means the smallest power of two with which no more than 4,000 mappings come to one.
func NewSplit(name string, mappings, n int) Split {
	base := filepath.Base(name)
	prefix := base[:len(base)-len(filepath.Ext(base))]
	if n == 0 {
		n = min(1<<bits.Len(uint(max(mappings-1, 0)/perFile)), MaxSegments)
	}
	return Split{Prefix: prefix, N: n}
}

// Write writes mappings into the files of a new folder, each of which has owner, group and mode
// of the file that was split. The folder is complete when it gets its name, which must be free
// or that of an empty folder. check gets the folder before that, under another name beside it;
// its error leaves nothing behind.
func (s Split) Write(folder, file string, lines []Line, check func(folder string) error) error {
	contents := make([][]byte, s.N)
	for _, l := range lines {
		i := s.Of(l.ID)
		contents[i] = append(contents[i], l.Text...)
	}
	if err := checkFree(folder); err != nil {
		return err
	}
	temporary, err := s.makeFolder(folder, file)
	defer os.RemoveAll(temporary) // there is none after the rename
	if err != nil {
		return folderError(folder, err)
	}
	for i, data := range contents {
		if len(data) == 0 {
			continue // a server does not load an empty file
		}
		if err := replacefile.Write(filepath.Join(temporary, s.Name(i)), data, replacefile.Options{Like: file, MayChangeOwner: true}); err != nil {
			return folderError(folder, err)
		}
	}
	if err := check(temporary); err != nil {
		return err
	}
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder, which not every system replaces
		return folderError(folder, err)
	}
	return folderError(folder, os.Rename(temporary, folder))
}

// makeFolder makes a hidden folder beside the one that is meant, open to those who may read the
// file.
func (s Split) makeFolder(folder, file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(filepath.Clean(folder)), "."+filepath.Base(folder)+"-*")
	if err != nil {
		return "", err
	}
	dir, err := os.Open(temporary)
	if err != nil {
		return temporary, err
	}
	defer dir.Close()
	replacefile.CopyOwner(dir, info)
	readers := info.Mode().Perm() & 0o444
	return temporary, os.Chmod(temporary, 0o700|readers|readers>>2)
}

func checkFree(folder string) error {
	entries, err := os.ReadDir(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return folderError(folder, err)
	}
	return &configerror.Error{File: folder, What: "the folder is not empty", Hint: "nothing was written: name a new folder"}
}

func folderError(folder string, err error) error {
	if err == nil {
		return nil
	}
	return &configerror.Error{File: folder, What: "the folder cannot be written: " + err.Error(), Hint: "nothing is left of it: name a new folder in one that you may write in"}
}
