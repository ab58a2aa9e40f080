package crlfetch

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mtlsguard/mtlsguard/internal/replacefile"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
)

// readFile reads a file that may hold a list. It is nil, and no error, where there is no
// file. A file that cannot be opened may hold a newer list.
func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxFileBytes {
		return nil, errLargeFile // without reading up to the cap each time
	}
	return readAll(f, maxFileBytes)
}

// parseFile reads the list in a file. There is none, and no error, in an absent or damaged
// one: what is fetched replaces it. A file with several must not lose them.
func parseFile(file string, data []byte) (*x509.RevocationList, error) {
	lists, err := trustaccess.ReadCRLs(file, data)
	switch {
	case err != nil:
		return nil, nil // damaged, see above
	case len(lists) != 1:
		return nil, fmt.Errorf("the file holds %d CRLs, where one can be kept fresh", len(lists))
	}
	return lists[0].List, nil
}

// replace writes the list. The server may not be the file's owner; a list that cannot be
// replaced would end, so that the owner changes then.
func replace(file string, data []byte) error {
	return replacefile.Write(file, data, replacefile.Options{Mode: 0o644, MayChangeOwner: true})
}
