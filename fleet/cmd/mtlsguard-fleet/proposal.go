package main

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/source"
)

// proposal is what a command wants to commit.
type proposal struct {
	parent   *source.Generation // nil: none
	files    fs.FS
	manifest source.Manifest // note, ports and restores
	folder   string          // where files is on disk, for positions in errors; "" is nowhere
	pending  *source.Generation
	users    *useredit.Change // printed in place of the changes; nil: none
}

// place returns the name of a file on disk in place of one below a mount.
func (p *proposal) place(configs []nodeConfig, name string) string {
	for _, n := range configs {
		if rest, ok := strings.CutPrefix(filepath.ToSlash(name), filepath.ToSlash(n.settings.Mount)+"/"); ok && p.folder != "" {
			return filepath.Join(p.folder, filepath.FromSlash(rest))
		}
	}
	return name
}

// placed returns errors with the names of files on disk.
func (p *proposal) placed(configs []nodeConfig, err error) error {
	var out errorlist.List
	for _, e := range configerror.All(err) {
		moved := *e
		moved.File = p.place(configs, e.File)
		out.Add(moved)
	}
	switch {
	case out.Len() > 0:
		return out.Err()
	case errors.Is(err, source.ErrPrivateKey):
		return console.UsageError(err.Error(), "nothing was committed: remove the file from "+cmp.Or(p.folder, "the generation"))
	}
	return err
}
