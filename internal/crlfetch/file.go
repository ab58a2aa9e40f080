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

// readFile reads the file of a source. It returns nil if there is no file, and an error for a
// file that it cannot open, which may hold a newer list.
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
		return nil, errLargeFile // saves reading up to the limit
	}
	return readAll(f, maxFileBytes)
}

// parseFile returns the list in a file. It returns nil for an absent or damaged file, which the
// fetched list may replace, and an error for a file with several lists, which would be lost.
func parseFile(file string, data []byte) (*x509.RevocationList, error) {
	lists, err := trustaccess.ReadCRLs(file, data)
	switch {
	case err != nil:
		return nil, nil // damaged: see above
	case len(lists) != 1:
		return nil, fmt.Errorf("the file holds %d CRLs; only one can be renewed", len(lists))
	}
	return lists[0].List, nil
}

// replace writes the list to the file. If the server may not keep the file's owner, the owner
// changes: otherwise the list would expire.
func replace(file string, data []byte) error {
	return replacefile.Write(file, data, replacefile.Options{Mode: 0o644, MayChangeOwner: true})
}
