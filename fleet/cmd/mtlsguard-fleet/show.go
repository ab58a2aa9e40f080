package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/source"
)

type showCmd struct {
	Number uint64 `arg:"" optional:"" help:"The number of the generation. Default: the newest."`
	Out    string `placeholder:"FOLDER" help:"Write the files into a new folder, to edit and push them."`
	storeFlags
}

func (*showCmd) Help() string {
	return `Shows the manifest of a generation: its author, its files and the keys that signed it. With --out it also writes the files.

Examples:
  mtlsguard-fleet show --store fleet-store
  mtlsguard-fleet show 41 --store fleet-store --out fleet

Exit status: 0 the generation is shown, 2 it cannot be read.`
}

// showReport is the JSON of show.
type showReport struct {
	Digest   string          `json:"digest"` // of the manifest
	Manifest source.Manifest `json:"manifest"`
	Signers  []string        `json:"signers"` // SHA-256 of the public keys that signatures name; not checked
	Out      string          `json:"out,omitempty"`
}

func (c *showCmd) Run(a *app) error {
	s, end, err := c.open(a, "")
	if err != nil {
		return err
	}
	defer end()
	g, err := s.number(c.Number)
	if err != nil {
		return err
	}
	out := showReport{Digest: g.Digest().String(), Manifest: g.Manifest, Signers: []string{}, Out: c.Out}
	for _, signature := range g.Signatures {
		out.Signers = append(out.Signers, signature.Key.String())
	}
	if c.Out != "" {
		if err := writeFolder(s, c.Out, g); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(out)
	}
	a.printf("%s\n", oneLine(g.Manifest))
	if n := g.Manifest.Restores; n > 0 {
		a.printf("restores users and policy of generation %d\n", n)
	}
	rows := [][]string{{"fleet", escape.Printable(g.Manifest.Fleet, 0)}, {"digest", out.Digest}}
	if len(g.Manifest.Ports) > 0 {
		rows = append(rows, []string{"ports", escape.Printable(strings.Join(g.Manifest.Ports, ", "), 0)})
	}
	for _, key := range out.Signers {
		rows = append(rows, []string{"key", key})
	}
	for _, f := range g.Manifest.Files {
		rows = append(rows, []string{"file", f.SHA256.String() + "  " + escape.Printable(f.Name, 0)})
	}
	a.printTable(rows)
	if c.Out != "" {
		a.printf("the files are in %s\n", escape.Printable(c.Out, 0))
	}
	return nil
}

// writeFolder writes the files of a generation into a new or empty folder. Names were checked with the
// manifest, and os.Root follows no link out of the folder.
func writeFolder(s *store, folder string, g *source.Generation) error {
	if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
		return &configerror.Error{File: folder, What: "the folder is not empty", Hint: "nothing was written: name a new folder"}
	}
	err := os.MkdirAll(folder, 0o755)
	if err != nil {
		return &configerror.Error{File: folder, What: "the folder cannot be made: " + err.Error(), Hint: "name another one"}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range g.Manifest.Files {
		data, err := g.ReadFile(s.ctx, f)
		if err != nil {
			return s.error(err)
		}
		name := filepath.FromSlash(f.Name)
		if err := errors.Join(root.MkdirAll(filepath.Dir(name), 0o755), root.WriteFile(name, data, 0o644)); err != nil {
			return &configerror.Error{File: filepath.Join(folder, name), What: "the file cannot be written: " + err.Error(), Hint: fmt.Sprintf("remove the folder %s, and try again", folder)}
		}
	}
	writeRecord(folder, g)
	return nil
}
