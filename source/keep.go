package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// keptGenerations is how many generations a Keep holds.
const keptGenerations = 5

// Keep is the folder in which a node holds the last generations that were in effect: it starts from
// them without its source. In it are current (a link to the last one), gen/000042 (its files, as
// links to blobs, with MANIFEST and MANIFEST.sig), blobs/SHA256 (the files), refused/000043.json, and lock.
//
// Every file is written beside its name, synced and renamed: blobs first, the link last. A crash leaves
// the old or the new generation. Methods are for one goroutine at a time, which has called Lock if
// it writes; commands may read meanwhile.
type Keep struct {
	path  string
	blobs blobs
}

// OpenKeep returns the Keep in a folder, which need not exist yet. It changes nothing.
func OpenKeep(path string) *Keep { return &Keep{path, newBlobs(filepath.Join(path, "blobs"))} }

func (k *Keep) join(parts ...string) string {
	return filepath.Join(append([]string{k.path}, parts...)...)
}

// Add writes the files of g that are not there yet, and returns g with its files on disk: they
// are checked when they are read. It does not make g current.
func (k *Keep) Add(ctx context.Context, g *Generation) (*Generation, error) {
	if err := k.checkNoStore(); err != nil {
		return nil, err
	}
	for _, name := range []string{"blobs", "gen", "refused"} {
		if err := os.MkdirAll(k.join(name), 0o700); err != nil {
			return nil, err
		}
	}
	if err := k.blobs.write(ctx, g); err != nil {
		return nil, err
	}
	out := *g
	out.open = k.blobs.open
	return &out, nil
}

// SetCurrent makes a generation of Add the current one, and removes the oldest beyond five.
func (k *Keep) SetCurrent(g *Generation) error {
	name := numbered(g.Manifest.Number)
	old, err := k.at(name)
	switch {
	case err != nil || old.digest != g.digest:
		err = k.writeGeneration(name, g)
	case !old.Same(g):
		err = writeSignatures(k.join("gen", name), g)
	}
	if err != nil {
		return fmt.Errorf("keep generation %d: %w", g.Manifest.Number, err)
	}
	if target, err := os.Readlink(k.join("current")); err != nil || target != "gen/"+name {
		link := k.join(temporary + "current")
		_ = os.Remove(link) // of an earlier crash
		if err := os.Symlink("gen/"+name, link); err != nil {
			return err
		}
		reached("link made")
		if err := os.Rename(link, k.join("current")); err != nil {
			return err
		}
		reached("link named")
		if err := syncFolder(k.path); err != nil {
			return err
		}
	}
	k.prune(name)
	return nil
}

// writeGeneration makes the folder of a generation. Its files are links to blobs, or copies
// on a file system without links; they are for people, and are not read again.
func (k *Keep) writeGeneration(name string, g *Generation) error {
	folder, err := os.MkdirTemp(k.join("gen"), temporary+"*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder) // nothing is there after the rename
	reached("folder made")
	for _, f := range g.Manifest.Files {
		if err := k.link(filepath.Join(folder, filepath.FromSlash(f.Name)), g, f); err != nil {
			return err
		}
	}
	reached("files linked")
	if err := writeSignatures(folder, g); err != nil {
		return err
	}
	if err := writeBytes(filepath.Join(folder, manifestFile), g.Raw, os.Rename); err != nil {
		return err
	}
	if err := syncFolder(folder); err != nil {
		return err
	}
	reached("manifest written")
	if err := os.RemoveAll(k.join("gen", name)); err != nil { // it is damaged, or of another manifest
		return err
	}
	if err := os.Rename(folder, k.join("gen", name)); err != nil {
		return err
	}
	reached("folder named")
	return syncFolder(k.join("gen"))
}

func writeSignatures(folder string, g *Generation) error {
	data, err := json.Marshal(g.Signatures)
	if err != nil {
		return err
	}
	return writeBytes(filepath.Join(folder, signatureFile), append(data, '\n'), os.Rename)
}

// manifestFile and signatureFile are in the folder of a kept generation: no file of a generation has
// these names.
const (
	manifestFile  = "MANIFEST"
	signatureFile = "MANIFEST.sig"
)

// link makes a file a link to its blob, or a copy.
func (k *Keep) link(name string, g *Generation, f File) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if os.Link(k.join("blobs", f.SHA256.String()), name) == nil {
		return nil
	}
	return writeFile(name, os.Rename, func(w io.Writer) error {
		r, err := g.Open(context.Background(), f)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(w, r)
		return err
	})
}

// at reads a kept generation.
func (k *Keep) at(name string) (*Generation, error) {
	raw, err := readLimited(k.join("gen", name, manifestFile), MaxManifest)
	if err != nil {
		return nil, err
	}
	data, err := readLimited(k.join("gen", name, signatureFile), MaxEnvelope)
	if err != nil {
		return nil, err
	}
	var signatures []Signature
	if err := json.Unmarshal(data, &signatures); err != nil {
		return nil, fmt.Errorf("%s: %w", k.join("gen", name, signatureFile), err)
	}
	g, err := New(raw, signatures, k.blobs.open)
	if err == nil && numbered(g.Manifest.Number) != name {
		err = fmt.Errorf("the manifest is of generation %d", g.Manifest.Number)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.join("gen", name, manifestFile), err)
	}
	return g, nil
}

// Generations returns the kept generations: the current one first, then the others, newest first.
// The error joins what is wrong with those that cannot be read; it is nil if there are none.
func (k *Keep) Generations() ([]*Generation, error) {
	names, err := k.names()
	if err != nil {
		return nil, err
	}
	var out []*Generation
	var errs []error
	for _, name := range names {
		g, err := k.at(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, g)
	}
	return out, errors.Join(errs...)
}
