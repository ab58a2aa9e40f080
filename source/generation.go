package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
)

// Generation is a manifest, its signatures and a way to read its files. It is immutable: its
// fields must not be changed. It is safe for concurrent use.
type Generation struct {
	Manifest   Manifest
	Raw        []byte      // the manifest as it was written: what is signed and hashed
	Signatures []Signature // of Raw; not checked, see Signers.Check

	digest Digest
	open   OpenFunc
}

// OpenFunc opens the content of a file, which a store finds by f.SHA256. It need not check the
// content: Generation.Open does. It returns an error that wraps fs.ErrNotExist if the blob is not there.
type OpenFunc func(ctx context.Context, f File) (io.ReadCloser, error)

// New returns a generation as a store or a web server holds it. It checks the manifest, but not
// the signatures, and reads no files.
func New(raw []byte, signatures []Signature, open OpenFunc) (*Generation, error) {
	if len(signatures) > maxSignatures {
		return nil, fmt.Errorf("there are %d signatures, and at most %d are allowed", len(signatures), maxSignatures)
	}
	m, err := parseManifest(raw)
	if err != nil {
		return nil, err
	}
	return &Generation{Manifest: m, Raw: bytes.Clone(raw), Signatures: slices.Clone(signatures), digest: DigestOf(raw), open: open}, nil
}

// Digest returns the digest of the manifest.
func (g *Generation) Digest() Digest { return g.digest }

// Same reports whether other has the same manifest and the same signatures. other may be nil.
func (g *Generation) Same(other *Generation) bool {
	return other != nil && g.digest == other.digest && sameSignatures(g.Signatures, other.Signatures)
}

// Follows reports whether parent is the parent of g: it has the same fleet, the number before, and
// the digest that g names. A nil parent is the one of number 1.
func (g *Generation) Follows(parent *Generation) bool {
	if parent == nil {
		return g.Manifest.Number == 1
	}
	return g.Manifest.Fleet == parent.Manifest.Fleet && g.Manifest.Number == parent.Manifest.Number+1 && g.Manifest.Parent == parent.digest
}

// Blobs returns one file for each content: what a store has to hold.
func (g *Generation) Blobs() []File {
	seen := make(map[Digest]bool, len(g.Manifest.Files))
	var out []File
	for _, f := range g.Manifest.Files {
		if !seen[f.SHA256] {
			seen[f.SHA256] = true
			out = append(out, f)
		}
	}
	return out
}

// Open opens a file of g. Reading returns an error in place of io.EOF if the content has not the
// size and the digest of f, and an error at once if it holds a private key. Size is a bound:
// no more than one byte after it is read. Keys are recognised in PEM and base64 of it, in DER, as JSON Web Keys, and in the
// forms of OpenSSH, PuTTY, NATS, age and .NET; PKCS#12 and the keystores of Java are refused whatever they hold.
func (g *Generation) Open(ctx context.Context, f File) (io.ReadCloser, error) {
	if g.open == nil {
		return nil, fmt.Errorf("file %s of generation %d: %w", f.Name, g.Manifest.Number, ErrNone)
	}
	r, err := g.open(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("file %s of generation %d: %w", f.Name, g.Manifest.Number, err)
	}
	return newChecked(r, f), nil
}

// ReadFile returns the content of a file of g, as Open reads it.
func (g *Generation) ReadFile(ctx context.Context, f File) ([]byte, error) {
	r, err := g.Open(ctx, f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out bytes.Buffer
	out.Grow(int(min(max(f.Size, 0), 1<<20))) // a false size reserves no memory
	if _, err := out.ReadFrom(r); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Fetch returns g with all its files in memory. It does not read files again that a
// generation in have holds. A nil generation in have holds nothing.
func (g *Generation) Fetch(ctx context.Context, have ...*Generation) (*Generation, error) {
	blobs := map[Digest][]byte{}
	for _, f := range g.Blobs() {
		data, err := g.fetchFrom(ctx, f, have)
		if err != nil {
			return nil, err
		}
		blobs[f.SHA256] = data
	}
	return g.with(blobs), nil
}

// fetchFrom reads a file from one of have, or else from g.
func (g *Generation) fetchFrom(ctx context.Context, f File, have []*Generation) ([]byte, error) {
	for _, h := range have {
		if h == nil {
			continue
		}
		i := slices.IndexFunc(h.Manifest.Files, func(o File) bool { return o.SHA256 == f.SHA256 && o.Size == f.Size })
		if i < 0 {
			continue
		}
		if data, err := h.ReadFile(ctx, h.Manifest.Files[i]); err == nil {
			return data, nil
		}
	}
	return g.ReadFile(ctx, f)
}

// with returns g with files from memory.
func (g *Generation) with(blobs map[Digest][]byte) *Generation {
	out := *g
	out.open = func(_ context.Context, f File) (io.ReadCloser, error) {
		data, ok := blobs[f.SHA256]
		if !ok {
			return nil, ErrNone
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	return &out
}
