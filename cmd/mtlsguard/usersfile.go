package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

// change changes the mappings, and prints what has changed.
func (u *usersFlags) change(a *app, dryRun bool, make func(*useredit.File) (*useredit.Change, error)) error {
	f, unlock, err := u.openLocked()
	if err != nil {
		return err
	}
	defer unlock()
	out, err := make(f)
	if err != nil {
		return err
	}
	if out.Written = !dryRun; out.Written {
		if err := writeUsers(a, f, out.Edit); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(out)
	}
	out.Print(a.stdout)
	return nil
}

// openLocked opens the file for a change. Until unlock, other commands that change the
// file wait.
func (u *usersFlags) openLocked() (f *useredit.File, unlock func(), err error) {
	if f, err = u.open(); err != nil { // find the file
		return nil, nil, err
	}
	if unlock, err = usersfile.Lock(f.Name); err != nil {
		return nil, nil, err
	}
	if f, err = u.open(); err != nil { // read it under the lock
		unlock()
		return nil, nil, err
	}
	return f, unlock, nil
}

func (u *usersFlags) open() (*useredit.File, error) {
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

// openUsers reads a file, or the files that a server would read in a folder. config is nil with
// --users.
func openUsers(config *configFile, name string) (*useredit.File, error) {
	files := useredit.Files{Read: certfile.ReadFile, List: listUsers, Command: func(verb, args string) string {
		from := "--users " + shellQuote(name)
		if config != nil {
			from = "--config " + shellQuote(config.path)
		}
		return "mtlsguard users " + verb + " " + from + " " + args
	}}
	if config == nil {
		return useredit.Open(files, nil, name)
	}
	c := &useredit.Config{Path: config.path, Ports: config.portNames(), Load: func(ctx context.Context, now func() time.Time) (*site.Generation, error) {
		return site.Load(ctx, config.path, fileset.New(nil), nil, now, program(config.path))
	}}
	for _, p := range config.ports {
		c.Anchors = append(c.Anchors, p.anchors...)
	}
	return useredit.Open(files, c, name)
}

// listUsers returns the files in a folder, without the folders in it.
func listUsers(name, end string) ([]string, bool) {
	all, ok := fileset.New(nil).List(name, end)
	var out []string
	for _, n := range all {
		if info, err := os.Stat(n); err != nil || !info.IsDir() {
			out = append(out, n)
		}
	}
	return out, ok
}

// writeUsers writes the files of an edit, one after another. A server that reads between two of
// them loads a part of the change.
func writeUsers(a *app, f *useredit.File, edit useredit.Edit) error {
	for _, name := range edit.Names() {
		old, exists := f.Data[name]
		var err error
		switch data := edit[name]; {
		case !exists:
			err = usersfile.Create(name, f.Names[0], data)
		case f.IsFolder && usersfile.Blank(data):
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
