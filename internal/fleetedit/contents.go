// Package fleetedit makes the next generation of a fleet: with other users, or with those of an older one. The
// command mtlsguard-fleet and the admin page use it.
package fleetedit

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/source"
)

// Contents are the files of a generation that is being made, by name.
type Contents map[string][]byte

// ContentsOf returns the files of a generation.
func ContentsOf(ctx context.Context, g *source.Generation) (Contents, error) {
	out := Contents{}
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

// FS returns the files as a file system: that of a generation that is never committed.
func (c Contents) FS() (fs.FS, error) {
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

// Edit writes a change of the users. inside returns the name in the generation of a file of f.
func (c Contents) Edit(f *useredit.File, edit useredit.Edit, inside func(name string) string) {
	for _, name := range edit.Names() {
		if data := edit[name]; f.IsFolder && usersfile.Blank(data) {
			delete(c, inside(name))
		} else {
			c[inside(name)] = data
		}
	}
}

// Restore replaces files with those of an older generation, where part reports that they are to be restored. It
// returns how many of them the older one has.
func (c Contents) Restore(old Contents, part func(name string) bool) (found int) {
	maps.DeleteFunc(c, func(name string, _ []byte) bool { return part(name) })
	for name, data := range old {
		if part(name) {
			c[name] = data
			found++
		}
	}
	return found
}

// IsPartOf reports whether a file is one of those named, or in one of those folders. "" names nothing.
func IsPartOf(name string, those ...string) bool {
	return slices.ContainsFunc(those, func(known string) bool {
		return known != "" && (name == known || strings.HasPrefix(name, known+"/"))
	})
}
