package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// temporary begins the names of files and folders that are being written. A process that ends in the middle leaves
// such a name behind, and nothing else.
const temporary = ".new-"

// abandoned is the age at which a temporary name is removed: no process writes it any more.
const abandoned = time.Hour

// reached is called between the steps of writing. Tests end the process there.
var reached = func(step string) {}

// writeFile writes a file beside its name, syncs it, and gives it the name with place, which is
// os.Rename, or os.Link to fail if the name exists. The caller syncs the folder. Its mode lets a web
// server read a store; the folder of a Keep is closed to others.
func writeFile(name string, place func(from, to string) error, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), temporary+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after a rename, as it should
	defer f.Close()
	reached("file made")
	if err := write(f); err != nil {
		return err
	}
	reached("file written")
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	reached("file synced")
	if err := place(f.Name(), name); err != nil {
		return err
	}
	reached("file named")
	return nil
}

// writeBytes is writeFile for bytes.
func writeBytes(name string, data []byte, place func(from, to string) error) error {
	return writeFile(name, place, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// syncFolder makes the names in a folder last. Some file systems cannot; the files are whole there all
// the same.
func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync()
	return nil
}

// blobs is a folder with files named by digest.
type blobs struct {
	path  string
	reads chan struct{} // of sources, one for each that has not ended
}

func newBlobs(path string) blobs { return blobs{path, make(chan struct{}, maxHanging)} }

// open is an OpenFunc.
func (b blobs) open(_ context.Context, f File) (io.ReadCloser, error) {
	return openRegular(filepath.Join(b.path, f.SHA256.String()))
}

// write writes the blobs of g that are not there, or that are damaged. It makes the others young, so that
// FolderStore.Prune leaves them.
func (b blobs) write(ctx context.Context, g *Generation) error {
	wrote := false
	for _, f := range g.Blobs() {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := filepath.Join(b.path, f.SHA256.String())
		now := time.Now()
		if os.Chtimes(name, now, now) == nil && b.whole(ctx, g, f) {
			continue
		}
		wrote = true
		err := writeFile(name, os.Rename, func(w io.Writer) error {
			return b.transfer(ctx, w, g, f)
		})
		if err != nil {
			return err
		}
	}
	if wrote {
		if err := syncFolder(b.path); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// whole reports whether a blob is there and undamaged.
func (b blobs) whole(ctx context.Context, g *Generation, f File) bool {
	here := *g
	here.open = b.open
	r, err := here.Open(ctx, f)
	if err != nil {
		return false
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err == nil
}

// sweep removes old temporary names in a folder, and old files that keep does not want.
func sweep(folder string, keep func(name string) bool) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), temporary) && keep(e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > abandoned {
			_ = os.RemoveAll(filepath.Join(folder, e.Name())) // tried again later
		}
	}
}

// openRegular opens a regular file. Opening a pipe would wait for its writer.
func openRegular(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	return os.Open(name)
}

// readLimited reads a file of at most most bytes.
func readLimited(name string, most int64) ([]byte, error) {
	f, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s is larger than %d KiB", name, most>>10)
	}
	return data, err
}

// isNotExist reports whether a file does not exist.
func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// numbered returns the name of a generation in a folder: six digits or more, so that names are in order.
func numbered(n uint64) string { return fmt.Sprintf("%06d", n) }
