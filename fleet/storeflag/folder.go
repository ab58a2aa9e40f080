package storeflag

import (
	"cmp"
	"context"
	"net/url"
	"os"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/source"
)

// openFolder opens a store in a folder.
func openFolder(_ context.Context, f *Flags, _ string) (source.Store, func(), error) {
	path := f.Store
	if f.scheme() == "file" {
		u, err := url.Parse(f.Store)
		switch {
		case err != nil, u.Host != "" && u.Host != "localhost", u.RawQuery != "", u.Fragment != "":
			return nil, nil, console.UsageError("--store: "+escape.Quote(f.Store, escape.Short)+" is not the URL of a folder", "--store file:///FOLDER, or the name of the folder alone")
		}
		path = cmp.Or(u.Path, u.Opaque)
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return nil, nil, console.UsageError("--store: "+escape.Quote(path, escape.Short)+" is not a folder", "for a new store, make the folder first: mkdir "+escape.Shell(path))
	}
	return folderStore{source.Folder(path)}, func() {}, nil
}

// folderStore is a store in a folder that the command can prune.
type folderStore struct{ source.FolderStore }

// Prune removes old generations.
func (s folderStore) Prune(ctx context.Context, keep int, younger time.Duration) (int, error) {
	return s.FolderStore.Prune(ctx, source.Retention{Keep: keep, Younger: younger})
}
