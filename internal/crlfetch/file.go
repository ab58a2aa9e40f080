package crlfetch

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mtlsguard/mtlsguard/trust"
)

// readList reads the list in a file. There is none, and no error, where there is no
// file or a damaged one: what is fetched replaces it. A file that cannot be opened
// may hold a newer list, and one with several must not lose them.
func readList(file string) (*x509.RevocationList, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxBytes {
		return nil, errTooLarge // without reading up to the cap each time
	}
	data, err := readAll(f)
	if err != nil {
		return nil, err
	}
	lists, err := trust.ReadCRLs(file, data)
	switch {
	case err != nil:
		return nil, nil // damaged, see above
	case len(lists) != 1:
		return nil, fmt.Errorf("the file holds %d CRLs, where one can be kept fresh", len(lists))
	}
	return lists[0].List, nil
}

// replace writes a file so that a reader sees the old or the new content, whole.
func replace(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".new*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing to remove once it is renamed
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
