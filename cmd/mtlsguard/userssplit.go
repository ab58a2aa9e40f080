package main

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"path/filepath"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/trust"
)

type usersSplitCmd struct {
	File   string `arg:"" help:"The users.yaml or users.jsonl."`
	Folder string `arg:"" help:"The new folder."`
	Files  int    `placeholder:"N" help:"The number of files, a power of two. Default: so many that none has more than 4,000 mappings on average."`
}

func (*usersSplitCmd) Help() string {
	return `Writes every mapping of a file into a folder of files of JSON lines. A server that reads the folder parses only the files that change. The hash of its id decides which file a mapping belongs to; the other commands of users keep to that. The file itself stays as it is. Comments of YAML are lost.

Example:
  mtlsguard users split users.yaml users

Exit status: 0 the folder is written, 2 it is not.`
}

// splitReport is the JSON of users split.
type splitReport struct {
	File     string `json:"file"`
	Folder   string `json:"folder"`
	Files    int    `json:"files"`
	Mappings int    `json:"mappings"`
	Setting  string `json:"setting"`
}

func (c *usersSplitCmd) Run(a *app) error {
	if c.Files < 0 || c.Files > usersfile.MaxSegments || bits.OnesCount(uint(c.Files)) > 1 {
		return usageError(fmt.Sprintf("--files: %d is not a power of two up to %d", c.Files, usersfile.MaxSegments), "leave --files out")
	}
	f, err := openUsers(nil, c.File)
	if err != nil {
		return err
	}
	if f.IsFolder {
		return &configerror.Error{File: c.File, What: "this is a folder already", Hint: "name a file of users"}
	}
	want, n, err := sumOf(f)
	if err != nil {
		return err
	}
	if n == 0 {
		return &configerror.Error{File: c.File, What: "the file holds no mapping", Hint: "a server does not load a folder without mappings: keep the file"}
	}
	lines, err := usersfile.Lines(f.Name, f.Data[f.Name], c.issuer)
	if err != nil {
		return err
	}
	s := usersfile.NewSplit(c.File, n, c.Files)
	out := splitReport{File: c.File, Folder: c.Folder, Mappings: n}
	err = s.Write(c.Folder, c.File, lines, func(folder string) error {
		next, err := openUsers(nil, folder)
		if err != nil {
			return err
		}
		got, _, err := sumOf(next)
		if err == nil && got != want { // fail closed
			err = &configerror.Error{File: c.File, What: "the folder would not hold the same mappings", Hint: "nothing was written: keep the file"}
		}
		out.Files = len(next.Names)
		return err
	})
	if err != nil {
		return err
	}
	a.changed = c.Folder
	out.Setting = "users: " + filepath.Base(filepath.Clean(c.Folder))
	if a.json {
		return a.printJSON(out)
	}
	a.printf("%s: mappings %d, files %d; %s is as it was\n", c.Folder, out.Mappings, out.Files, c.File)
	a.printf("hint: write the folder into mtlsguard.yaml, relative to that file: %s\n", out.Setting)
	return nil
}

// issuer returns the issuer of a mapping for a file in the new folder: a digest as it is, and
// the name of a file relative to the new place.
func (c *usersSplitCmd) issuer(text string) string {
	if _, err := trust.ParseDigest(text); err == nil || filepath.IsAbs(text) {
		return text
	}
	return useredit.RelativeTo(filepath.Join(c.Folder, "-"), useredit.Resolve(c.File, text))
}

// sumOf returns the number of mappings, and a digest of all that they mean in any order. Ids are
// unique, so no two terms of the sum cancel each other out.
func sumOf(f *useredit.File) (sum [sha256.Size]byte, n int, err error) {
	table, err := f.Load(nil)
	if err != nil {
		return sum, 0, err
	}
	for _, m := range table.Mappings() {
		one := sha256.Sum256(fmt.Appendf(nil, "%q %q %x %x %v %q %q %q %q %x %q %v %v %t", m.ID, m.User, m.Fingerprint, m.SPKI, m.Serial, m.Subject, m.URI, m.DNS, m.Email, m.Issuer, m.Ports, m.NotBefore, m.NotAfter, m.Disabled))
		for i := range sum {
			sum[i] ^= one[i]
		}
		n++
	}
	return sum, n, nil
}
