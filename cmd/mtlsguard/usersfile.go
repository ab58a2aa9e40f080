package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/internal/usersload"
	"github.com/mtlsguard/mtlsguard/trust"
)

// usersFile is a file of users, or a folder of files of JSON lines, with its content.
type usersFile struct {
	config   *configFile // nil with --users
	name     string
	isFolder bool
	names    []string          // of the files in their order; name itself unless it is a folder
	data     map[string][]byte // by name
	table    *certmap.Table    // of data, once it is loaded
}

// usersEdit is the new content of files by name. A file of a folder is created or, if its
// content is blank, deleted.
type usersEdit map[string][]byte

// openLocked opens the file for a change. Until unlock, other commands that change the
// file wait.
func (u *usersFlags) openLocked() (f *usersFile, unlock func(), err error) {
	if f, err = u.open(); err != nil { // find the file
		return nil, nil, err
	}
	if unlock, err = usersfile.Lock(f.name); err != nil {
		return nil, nil, err
	}
	if f, err = u.open(); err != nil { // read it under the lock
		unlock()
		return nil, nil, err
	}
	return f, unlock, nil
}

func (u *usersFlags) open() (*usersFile, error) {
	if u.Config == "" {
		return openUsers(nil, u.Users)
	}
	s, err := readConfigFile(u.Config)
	if err != nil {
		return nil, err
	}
	if s.users == "" {
		return nil, &configerror.Error{File: u.Config, What: "users is missing", Hint: "users: users.yaml"}
	}
	return openUsers(s, s.users)
}

// openUsers reads a file, or the files that a server would read in a folder.
func openUsers(config *configFile, name string) (*usersFile, error) {
	f := &usersFile{config: config, name: name, names: []string{name}, data: map[string][]byte{}}
	if inside, ok := fileset.New(nil).List(name, ".jsonl"); ok {
		f.isFolder, f.names = true, nil
		for _, n := range inside {
			if info, err := os.Stat(n); err != nil || !info.IsDir() {
				f.names = append(f.names, n)
			}
		}
		if len(f.names) == 0 {
			return nil, &configerror.Error{File: name, What: "the folder holds no file whose name ends in .jsonl", Hint: "mtlsguard users split FILE FOLDER makes them of one file of users"}
		}
	}
	for _, n := range f.names {
		var err error
		if f.data[n], err = certfile.ReadFile(n); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// read returns the mappings after an edit, as a server would load them.
func (f *usersFile) read(edit usersEdit) ([]certmap.Mapping, error) {
	table, err := f.load(edit)
	if err != nil {
		return nil, err
	}
	return table.Mappings(), nil
}

// load returns the table after an edit.
func (f *usersFile) load(edit usersEdit) (*certmap.Table, error) {
	s := usersload.Settings{ReadIssuer: f.issuer, Workers: runtime.GOMAXPROCS(0), AnyPort: f.config == nil}
	if f.config != nil {
		s.Ports = f.config.portNames()
	}
	var files []usersload.File
	for _, name := range f.namesAfter(edit) {
		data, ok := edit[name]
		if !ok {
			data = f.data[name]
		}
		digest := sha256.Sum256(data)
		files = append(files, usersload.File{Name: name, Digest: digest, Read: func() ([]byte, [sha256.Size]byte, bool) { return data, digest, true }})
	}
	if len(files) == 0 {
		return nil, &configerror.Error{File: f.name, What: "no mapping would be left", Hint: "nothing was written: a server does not load a folder without mappings"}
	}
	table, err := usersload.Load(f.table, files, s)
	if err == nil && len(edit) == 0 {
		f.table = table // the next load parses what the edit changes
	}
	return table, err
}

func (f *usersFile) issuer(name string) (trust.Digest, error) {
	file := resolvePath(f.names[0], name) // all files stand in one folder
	data, err := certfile.ReadFile(file)
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

// write writes the files of an edit, one after another. A server that reads between two of
// them loads a part of the change.
func (f *usersFile) write(a *app, edit usersEdit) error {
	for _, name := range f.namesOf(edit) {
		old, exists := f.data[name]
		var err error
		switch data := edit[name]; {
		case !exists:
			err = usersfile.Create(name, f.names[0], data)
		case f.isFolder && usersfile.Blank(data):
			err = usersfile.Delete(name, old)
		default:
			err = usersfile.Write(name, old, data)
		}
		if err != nil && a.changed != "" {
			return errors.Join(err, &configerror.Error{File: a.changed, What: "this file has been changed, and not all others", Hint: "run the command again for the rest"})
		}
		if err != nil {
			return err
		}
		a.changed = name
	}
	return nil
}

// relativeName returns a path as a mapping in the file writes it.
func (f *usersFile) relativeName(name string) string { return relativeTo(f.names[0], name) }
