package source

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Next returns the generation that an editor commits after parent, with the files of fsys. parent is
// nil for the first one. m gives Fleet (may be empty after a parent), Author, By, Note, Restores,
// Ports, and At (zero: now); Next sets the rest. Names that begin with a dot are left out. The
// generation is not signed; see Generation.Sign. Its files are in memory.
func Next(parent *Generation, m Manifest, fsys fs.FS) (*Generation, error) {
	m.Format, m.Number, m.Parent = manifestFormat, 1, Digest{}
	if parent != nil {
		m.Number, m.Parent = parent.Manifest.Number+1, parent.digest
		if m.Fleet == "" {
			m.Fleet = parent.Manifest.Fleet
		}
		if m.Fleet != parent.Manifest.Fleet {
			return nil, fmt.Errorf("the fleet is %q, and that of the parent %q", m.Fleet, parent.Manifest.Fleet)
		}
	}
	if m.At.IsZero() {
		m.At = time.Now().UTC().Truncate(time.Second)
	}
	blobs, err := m.readFiles(fsys)
	if err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	g, err := New(append(raw, '\n'), nil, nil)
	if err != nil {
		return nil, err
	}
	g = g.with(blobs)
	for _, f := range g.Manifest.Files {
		if _, err := g.ReadFile(context.Background(), f); err != nil {
			return nil, err // a private key
		}
	}
	return g, nil
}

// readFiles sets m.Files, and returns their contents.
func (m *Manifest) readFiles(fsys fs.FS) (map[Digest][]byte, error) {
	m.Files = nil
	blobs := map[Digest][]byte{}
	var total int64
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		case len(m.Files) == maxFiles:
			return fmt.Errorf("there are more than %d files", maxFiles)
		}
		data, err := readBounded(fsys, name)
		if err != nil {
			return err
		}
		if total += int64(len(data)); total > maxGeneration {
			return fmt.Errorf("the files have more than %d MiB", maxGeneration>>20)
		}
		f := File{Name: name, Size: int64(len(data)), SHA256: DigestOf(data)}
		m.Files, blobs[f.SHA256] = append(m.Files, f), data
		return checkFiles([]File{f})
	})
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return blobs, err
}

// readBounded reads a regular file of at most maxFile bytes. Links are followed.
func readBounded(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// Sign returns g with one more signature. See the function Sign for keys.
func (g *Generation) Sign(key crypto.Signer) (*Generation, error) {
	if len(g.Signatures) == maxSignatures {
		return nil, errors.New("the generation has as many signatures as are allowed")
	}
	signature, err := Sign(g.Raw, key)
	if err != nil {
		return nil, err
	}
	out := *g
	out.Signatures = append(slices.Clip(g.Signatures), signature)
	return &out, nil
}
