package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// folderLook is the time between two looks of Watch. A look reads two names.
const folderLook = 200 * time.Millisecond

// Folder returns a store in a folder, of the fleet whose generation is committed first. It may
// be on a file system that several machines share if that has exclusive links (link of POSIX), as NFS
// has. Nodes that only read may have a copy that git-sync or rsync brings. A web server that
// serves the folder is a source for HTTPS.
//
// In it are head (the newest generation, see Generation.Encode), gen/000042 (each generation),
// blob/SHA256 (the files), and node (the reports).
func Folder(path string) FolderStore { return FolderStore(path) }

// FolderStore is a Store in a folder: the path of the folder. See Folder.
type FolderStore string

func (f FolderStore) path(parts ...string) string {
	return filepath.Join(append([]string{string(f)}, parts...)...)
}

func (f FolderStore) blobs() blobs { return newBlobs(f.path("blob")) }

// at reads the generation in a file.
func (f FolderStore) at(parts ...string) (*Generation, error) {
	data, err := readLimited(f.path(parts...), MaxEnvelope)
	if err != nil {
		return nil, err
	}
	g, err := Decode(data, f.blobs().open)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path(parts...), err)
	}
	return g, nil
}

// numbered reads the generation of a number. Under the name of another one it is an error: newest
// would look for the next number without end.
func (f FolderStore) numbered(n uint64) (*Generation, error) {
	g, err := f.at("gen", numbered(n))
	if err == nil && g.Manifest.Number != n {
		return nil, fmt.Errorf("%s is generation %d", f.path("gen", numbered(n)), g.Manifest.Number)
	}
	return g, err
}

// oldest returns the oldest generation that is there.
func (f FolderStore) oldest() (*Generation, error) {
	numbers, err := f.numbers()
	if err != nil {
		return nil, err
	}
	return f.numbered(append(numbers, 1)[0])
}

// newest returns the newest generation, or ErrNone. The file head may be older if an editor
// ended between two steps, or the files of a copy are not there yet.
func (f FolderStore) newest(ctx context.Context) (*Generation, error) {
	g, err := f.at("head")
	if isNotExist(err) {
		g, err = f.oldest()
	}
	if isNotExist(err) {
		if _, err := os.Stat(string(f)); err != nil {
			return nil, err // the folder itself is not there: not mounted, perhaps
		}
		return nil, ErrNone
	}
	for ; err == nil; err = ctx.Err() {
		next, err := f.numbered(g.Manifest.Number + 1)
		if isNotExist(err) {
			return g, nil
		}
		if err != nil {
			return nil, err
		}
		g = next
	}
	return nil, err
}

// Load implements Source.
func (f FolderStore) Load(ctx context.Context, have *Generation) (*Generation, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g, err := f.newest(ctx)
	if err == nil && g.Same(have) {
		return have, nil
	}
	return g, err
}

// Watch implements Source.
func (f FolderStore) Watch(ctx context.Context, have *Generation) error {
	look := time.NewTicker(folderLook)
	defer look.Stop()
	for {
		switch g, err := f.newest(ctx); {
		case errors.Is(err, ErrNone):
		case err != nil:
			return err
		case !g.Same(have):
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

// Commit implements Store. The name of the generation is made exclusively: of two editors, one
// makes it.
func (f FolderStore) Commit(ctx context.Context, g *Generation) error {
	parent, err := f.newest(ctx)
	switch {
	case errors.Is(err, ErrNone) || isNotExist(err): // the folder is made below
	case err != nil:
		return err
	case parent.Manifest.Fleet != g.Manifest.Fleet:
		return fmt.Errorf("the store is of fleet %q, and the generation of fleet %q", parent.Manifest.Fleet, g.Manifest.Fleet)
	}
	if !g.Follows(parent) {
		return ErrConflict
	}
	for _, name := range []string{"blob", "gen"} {
		if err := os.MkdirAll(f.path(name), 0o755); err != nil {
			return err
		}
	}
	if err := f.blobs().write(ctx, g); err != nil {
		return err
	}
	err = writeBytes(f.path("gen", numbered(g.Manifest.Number)), g.Encode(), os.Link)
	if errors.Is(err, os.ErrExist) {
		return ErrConflict
	}
	if err != nil {
		return err
	}
	if err := syncFolder(f.path("gen")); err != nil {
		return err
	}
	for _, name := range []string{"", "blob", "gen"} {
		sweep(f.path(name), func(string) bool { return true })
	}
	if err := f.writeHead(ctx); err != nil {
		return fmt.Errorf("generation %d is committed, and the file head still names an older one: %w", g.Manifest.Number, err)
	}
	return nil
}

// writeHead makes the newest generation the head. It looks again afterwards: a slower editor must
// not leave its older generation there.
func (f FolderStore) writeHead(ctx context.Context) error {
	var written *Generation
	for {
		g, err := f.newest(ctx)
		if err != nil || g.Same(written) {
			return err
		}
		if err := writeBytes(f.path("head"), g.Encode(), os.Rename); err != nil {
			return err
		}
		written = g
	}
}

// History implements Store.
func (f FolderStore) History(ctx context.Context, before uint64, n int) ([]Manifest, error) {
	g, err := f.newest(ctx)
	if errors.Is(err, ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	number := g.Manifest.Number
	if before > 0 {
		number = min(number, before-1)
	}
	var out []Manifest
	for ; number > 0 && len(out) < n; number-- {
		g, err := f.numbered(number)
		if isNotExist(err) {
			break // old ones were removed
		}
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return nil, err
		}
		out = append(out, g.Manifest)
	}
	return out, nil
}

// At implements Store.
func (f FolderStore) At(ctx context.Context, number uint64) (*Generation, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g, err := f.numbered(number)
	if isNotExist(err) {
		return nil, ErrNone
	}
	return g, err
}
