// Package importertest runs an import in a folder with the test certificates.
package importertest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

// Folder returns a new folder with the test certificates, without keys, and the given files.
func Folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir, err := os.MkdirTemp(base, "import") // t.TempDir has characters that Markdown escapes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := errors.Join(writeCertificates(dir), write(dir, files)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeCertificates(dir string) error {
	all, err := pki.Files.ReadDir(".")
	if err != nil {
		return err
	}
	for _, f := range all {
		if strings.Contains(f.Name(), "-key.") {
			continue
		}
		data, err := pki.Files.ReadFile(f.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name()), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func write(dir string, files map[string]string) error {
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Run imports files beside the test certificates. The options' files are relative to the folder;
// read gets the paths of the named files in their order. Run returns the result as one text, in
// which each file is preceded by a line "== NAME", or the error; paths are relative there too.
func Run(t *testing.T, o importer.Options, files map[string]string, read func(in *importer.Import, names []string) error, names ...string) string {
	t.Helper()
	dir, giveBack := borrow(t, files)
	defer giveBack()
	inside := func(all []string) (out []string) {
		for _, name := range all {
			out = append(out, filepath.Join(dir, name))
		}
		return out
	}
	o.Certificates, o.Issuers = inside(o.Certificates), inside(o.Issuers)
	if o.Format == "" {
		o.Format = "test"
	}
	out, err := run(o, func(in *importer.Import) error { return read(in, inside(names)) })
	if err != nil {
		return strings.ReplaceAll(err.Error(), dir+"/", "")
	}
	var b strings.Builder
	for _, f := range out.Files {
		b.WriteString("== " + f.Name + "\n" + string(f.Data))
	}
	return strings.ReplaceAll(b.String(), dir+"/", "")
}

func run(o importer.Options, read func(*importer.Import) error) (*importer.Output, error) {
	in, err := importer.New(o)
	if err != nil {
		return nil, err
	}
	if err := read(in); err != nil {
		return nil, err
	}
	return in.Finish()
}

// Fuzz imports texts as a file beside the test certificates. A text must not make a result that
// does not load, or that is wider than the source.
func Fuzz(f *testing.F, name string, read func(in *importer.Import, name string) error) {
	dir := Folder(f, nil)
	at := filepath.Join(dir, name)
	certificates := []string{filepath.Join(dir, "alice.pem"), filepath.Join(dir, "bob.pem"), filepath.Join(dir, "orders.pem")}
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(at, []byte(text), fs.FileMode(0o600)); err != nil {
			t.Fatal(err)
		}
		for _, narrow := range []bool{false, true} {
			o := importer.Options{Format: "fuzz", Issuers: []string{filepath.Join(dir, "client-ca.pem")}, Certificates: certificates, Narrow: narrow}
			_, err := run(o, func(in *importer.Import) error { return read(in, at) })
			if errors.Is(err, importer.ErrDefect) {
				t.Fatalf("%v", err)
			}
		}
	})
}
