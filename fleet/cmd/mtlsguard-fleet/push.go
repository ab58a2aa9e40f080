package main

import (
	"fmt"
	"os"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/source"
)

type pushCmd struct {
	Folder string   `arg:"" help:"The folder with the files of the fleet, or a pending generation."`
	Parent *uint64  `placeholder:"N" help:"The generation whose changes the folder has. Default: the one that the folder was made from or last pushed as, or else the newest."`
	Ports  []string `placeholder:"NAME" help:"The names of the ports of all nodes. Default: those of the parent and of --config."`
	commitFlags
}

func (*pushCmd) Help() string {
	return `Reads a folder, loads and lints it as a node with the configuration would, shows what changes, and commits it as the next generation. Files whose name begins with a dot are left out. A private key anywhere in the folder is an error. Findings of lint that the parent does not have are printed as warnings.

The folder remembers its generation in ` + recordName + `. If another editor has committed meanwhile, both changes are shown and nothing is committed.

Examples:
  mtlsguard-fleet push fleet --store fleet-store --note "CHG-1234 partner B renews" --sign signer.pem
  mtlsguard-fleet push fleet --store fleet-store --dry-run
  mtlsguard-fleet push fleet --store fleet-store --out pending.zip

Exit status: 0 the generation is committed, or the store has it already, 1 another editor was faster or --yes is needed, 2 the folder or the command line has an error.`
}

func (c *pushCmd) Run(a *app) error {
	configs, fleet, err := c.read()
	if err != nil {
		return err
	}
	info, err := os.Stat(c.Folder)
	if err != nil {
		return console.UsageError("the folder cannot be read: "+err.Error(), "mtlsguard-fleet push FOLDER")
	}
	s, end, err := c.open(a, fleet)
	if err != nil {
		return err
	}
	defer end()
	if !info.IsDir() {
		return c.pushPending(a, s, configs)
	}
	parent, err := c.parent(s)
	if err != nil {
		return err
	}
	p := proposal{parent: parent, files: os.DirFS(c.Folder), folder: c.Folder, manifest: source.Manifest{Ports: c.Ports}}
	out, err := c.commit(a, s, configs, p)
	if c.DryRun || c.Out != "" {
		return err
	}
	switch {
	case out.Committed || out.Same:
		writeRecord(c.Folder, out.made)
	case out.Conflict != nil:
		writeRecord(c.Folder, parent)
	}
	return err
}

// parent returns the generation that the folder was made from.
func (c *pushCmd) parent(s *store) (*source.Generation, error) {
	var g *source.Generation
	r, err := readRecord(c.Folder)
	switch {
	case err != nil:
		return nil, err
	case c.Parent != nil && *c.Parent == 0:
		return nil, nil
	case c.Parent != nil:
		g, err = s.number(*c.Parent)
	case r == nil:
		g, err = s.newest()
	case r.Number == 0:
		return nil, nil
	default:
		if g, err = s.number(r.Number); err == nil && (g.Digest() != r.Digest || g.Manifest.Fleet != r.Fleet) {
			err = &configerror.Error{
				File: recordPath(c.Folder), What: fmt.Sprintf("the folder was made from generation %d of fleet %q, and the store has another one", r.Number, r.Fleet),
				Hint: fmt.Sprintf("name the store that the folder is from, or use --parent %d if it has the changes of that generation", r.Number),
			}
		}
	}
	if err != nil || g == nil {
		return nil, err
	}
	g, err = g.Fetch(s.ctx)
	if err != nil {
		return nil, s.error(err)
	}
	return g, nil
}

// pushPending commits a generation of a file.
func (c *pushCmd) pushPending(a *app, s *store, configs []nodeConfig) error {
	if c.Parent != nil || c.Ports != nil || c.Note != "" || c.Out != "" {
		return console.UsageError("--parent, --ports, --note and --out cannot change a generation that is made", "make another one: push FOLDER --out FILE")
	}
	g, end, err := openPending(c.Folder)
	if err != nil {
		return err
	}
	defer end()
	if g, err = g.Fetch(s.ctx); err != nil { // the archive must hold the files that the manifest names
		return pendingError(c.Folder, err)
	}
	p := proposal{pending: g}
	if n := g.Manifest.Number; n > 1 {
		if p.parent, err = s.number(n - 1); err != nil {
			return err
		}
		if p.parent, err = p.parent.Fetch(s.ctx); err != nil {
			return s.error(err)
		}
	}
	if !g.Follows(p.parent) {
		return &configerror.Error{File: c.Folder, What: fmt.Sprintf("generation %d of the file does not follow generation %d of the store", g.Manifest.Number, g.Manifest.Number-1), Hint: "name the store that it was made for, or make it again: push FOLDER --out FILE"}
	}
	_, err = c.commit(a, s, configs, p)
	return err
}
