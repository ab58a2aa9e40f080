// Package useredit changes the mappings of a configuration, with the checks of the commands
// mtlsguard users and mtlsguard-fleet users. It writes nothing: callers write an Edit.
package useredit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/usersload"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Files are where the files are.
type Files struct {
	// Read returns the content of a file.
	Read func(name string) ([]byte, error)
	// List returns the files in a folder that end in a way, and whether the name is a folder.
	List func(name, end string) ([]string, bool)
	// Command returns a command about the file, for hints.
	Command func(verb, args string) string
}

// Config is the content of an mtlsguard.yaml.
type Config struct {
	Path    string
	Ports   []string // names
	Anchors []string // files of the ports that have users
	// Load loads the configuration as a server would.
	Load func(ctx context.Context, now func() time.Time) (*site.Generation, error)
}

// File is a file of users, or a folder of files of JSON lines, with its content.
type File struct {
	Files
	Config   *Config // nil: only the file of users is known
	Name     string
	IsFolder bool
	Names    []string          // of the files in their order; Name itself unless it is a folder
	Data     map[string][]byte // by name
	table    *certmap.Table    // of Data, once it is loaded
}

// Edit is the new content of files by name. A file of a folder is created or, if its
// content is blank, deleted.
type Edit map[string][]byte

// Open reads a file, or the files that a server would read in a folder.
func Open(files Files, config *Config, name string) (*File, error) {
	f := &File{Files: files, Config: config, Name: name, Names: []string{name}, Data: map[string][]byte{}}
	if inside, ok := files.List(name, ".jsonl"); ok {
		f.IsFolder, f.Names = true, inside
		if len(f.Names) == 0 {
			return nil, &configerror.Error{File: name, What: "the folder holds no file whose name ends in .jsonl", Hint: "mtlsguard users split FILE FOLDER makes them of one file of users"}
		}
	}
	for _, n := range f.Names {
		var err error
		if f.Data[n], err = files.Read(n); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Mappings returns the mappings after an edit, as a server would load them.
func (f *File) Mappings(edit Edit) ([]certmap.Mapping, error) {
	table, err := f.Load(edit)
	if err != nil {
		return nil, err
	}
	return table.Mappings(), nil
}

// Load returns the table after an edit.
func (f *File) Load(edit Edit) (*certmap.Table, error) {
	s := usersload.Settings{ReadIssuer: f.issuer, Workers: runtime.GOMAXPROCS(0), AnyPort: f.Config == nil}
	if f.Config != nil {
		s.Ports = f.Config.Ports
	}
	var files []usersload.File
	for _, name := range f.namesAfter(edit) {
		data, ok := edit[name]
		if !ok {
			data = f.Data[name]
		}
		digest := sha256.Sum256(data)
		files = append(files, usersload.File{Name: name, Digest: digest, Read: func() ([]byte, [sha256.Size]byte, bool) { return data, digest, true }})
	}
	if len(files) == 0 {
		return nil, &configerror.Error{File: f.Name, What: "no mapping would be left", Hint: "nothing was written: a server does not load a folder without mappings"}
	}
	table, err := usersload.Load(f.table, files, s)
	if err == nil && len(edit) == 0 {
		f.table = table // the next load parses what the edit changes
	}
	return table, err
}

func (f *File) issuer(name string) (trust.Digest, error) {
	file := Resolve(f.Names[0], name) // all files stand in one folder
	data, err := f.Read(file)
	if err != nil {
		return trust.Digest{}, err
	}
	certs, err := trust.ReadCertificates(file, data)
	switch {
	case err != nil:
		return trust.Digest{}, err
	case len(certs) != 1 || !certs[0].IsCA:
		return trust.Digest{}, fmt.Errorf("%s does not hold exactly one CA certificate", file)
	}
	return trust.SPKIOf(certs[0]), nil
}

// relativeName returns a path as a mapping in the file writes it.
func (f *File) relativeName(name string) string { return RelativeTo(f.Names[0], name) }

// Resolve returns the path of a name that is relative to the file that contains it.
func Resolve(file, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}

// RelativeTo returns a path as it is written into a file: relative to the file's folder.
func RelativeTo(file, name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return name
	}
	if rel, err := filepath.Rel(dir, abs); err == nil {
		return filepath.ToSlash(rel)
	}
	return abs
}
