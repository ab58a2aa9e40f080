package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/mtlsguard/mtlsguard/source"
)

// contents are the files of a generation that is being made, by name.
type contents map[string][]byte

// contentsOf returns the files of a generation.
func contentsOf(ctx context.Context, g *source.Generation) (contents, error) {
	out := contents{}
	if g == nil {
		return out, nil
	}
	for _, f := range g.Manifest.Files {
		data, err := g.ReadFile(ctx, f)
		if err != nil {
			return nil, err
		}
		out[f.Name] = data
	}
	return out, nil
}

// fs returns the files as a file system: that of a generation that is never committed.
func (c contents) fs() (fs.FS, error) {
	m := source.Manifest{Format: 1, Fleet: "-", Number: 1, Author: "-"}
	blobs := map[source.Digest][]byte{}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		digest := source.DigestOf(c[name])
		blobs[digest] = c[name]
		m.Files = append(m.Files, source.File{Name: name, Size: int64(len(c[name])), SHA256: digest})
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	g, err := source.New(raw, nil, func(_ context.Context, f source.File) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(blobs[f.SHA256])), nil
	})
	if err != nil {
		return nil, err
	}
	return g.FS(), nil
}
