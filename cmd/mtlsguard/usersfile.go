package main

import (
	"context"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
)

// change changes the mappings, and prints what has changed.
func (u *usersFlags) change(a *app, dryRun bool, make func(*useredit.File) (*useredit.Change, error)) error {
	out, _, written, err := useredit.Apply(useredit.Request{Open: u.open, DryRun: dryRun, Change: make})
	if written != "" {
		a.changed = written
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	out.Print(a.stdout)
	return nil
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
	files := useredit.OnDisk(func(verb, args string) string {
		from := "--users " + shellQuote(name)
		if config != nil {
			from = "--config " + shellQuote(config.path)
		}
		return "mtlsguard users " + verb + " " + from + " " + args
	})
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
