package importertest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

var (
	base string // the folder of all folders; "" is the system's, without Main

	mu   sync.Mutex
	free []string // folders with the test certificates alone
)

// Main runs the tests of a package that imports files, for TestMain. Its calls of Run share
// folders with the test certificates: writing these for each row takes longer than the import.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "imports")
	if err != nil {
		panic(err)
	}
	base = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// borrow returns a folder with the test certificates and the given files, which no other test
// has until giveBack is called. Without Main it is a new one.
func borrow(t *testing.T, files map[string]string) (dir string, giveBack func()) {
	t.Helper()
	if base == "" || slices.ContainsFunc(names(files), isCertificate) {
		return Folder(t, files), func() {}
	}
	dir, err := next()
	if err == nil {
		err = write(dir, files)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, func() {
		for _, name := range names(files) {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Error(err)
				return // the next test gets another folder
			}
		}
		mu.Lock()
		defer mu.Unlock()
		free = append(free, dir)
	}
}

// next returns a folder that is free, or a new one.
func next() (string, error) {
	mu.Lock()
	if n := len(free); n > 0 {
		defer mu.Unlock()
		dir := free[n-1]
		free = free[:n-1]
		return dir, nil
	}
	mu.Unlock()
	dir, err := os.MkdirTemp(base, "import")
	return dir, errors.Join(err, writeCertificates(dir))
}

// names returns the names in the folder that files occupy.
func names(files map[string]string) (out []string) {
	for name := range files {
		first, _, _ := strings.Cut(name, "/")
		out = append(out, first)
	}
	return out
}

func isCertificate(name string) bool {
	_, err := pki.Files.ReadFile(name)
	return err == nil
}
