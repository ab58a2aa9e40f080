package useredit

import (
	"context"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
)

// OfServer opens the users of a running *mtlsguard.Server, as OfGeneration does. Package mtlsguard
// sets OfServer when the program starts. It is safe for concurrent use.
var OfServer func(server any) (*File, error)

// OfGeneration opens the users of a generation that is in effect. The files are read from disk
// as they are now; certificates are verified as the generation does. Users that are not on
// disk are an error.
func OfGeneration(path string, g *site.Generation) (*File, error) {
	refuse := func(what, hint string) (*File, error) {
		return nil, &configerror.Error{File: path, What: what, Hint: "nothing was written: " + hint}
	}
	switch {
	case g.Users == "":
		return refuse("there is no file of users", "write users: users.yaml into "+path+", or change users where the program has them")
	case g.Files.FS != nil:
		return refuse("the users are part of the program", "use a configuration on disk")
	case g.Files.Mounted(g.Users):
		return refuse("the users come from the source of the fleet", "commit a generation: mtlsguard-fleet users")
	}
	return Open(OnDisk(func(verb, args string) string {
		return "mtlsguard users " + verb + " --config " + escape.Shell(path) + " " + args
	}), configOf(path, g), g.Users)
}

// OfFleet opens the users of the generation of a fleet that is in effect in g.
func OfFleet(path string, g *site.Generation) (*File, error) {
	files := fileset.New(g.Files.FS)
	files.Mount = g.Files.Mount
	config := configOf(path, g)
	for _, name := range g.Fleet.Manifest.Ports {
		if !slices.Contains(config.Ports, name) {
			config.Ports = append(config.Ports, name)
		}
	}
	return Open(Files{Read: files.Get, List: func(name, end string) ([]string, bool) { return files.List(name, end) }, Command: func(verb, args string) string {
		return "mtlsguard-fleet users " + verb + " --config " + escape.Shell(path) + " " + args
	}}, config, g.Users)
}

// configOf returns the settings for users in the configuration of a generation.
func configOf(path string, g *site.Generation) *Config {
	config := &Config{Path: path, Load: func(context.Context, func() time.Time) (*site.Generation, error) { return g, nil }}
	for _, p := range g.AllPorts() {
		if !p.Authorizes() {
			continue
		}
		config.Ports = append(config.Ports, p.Config.Name)
		for _, file := range p.CallersAnchors() {
			if !slices.Contains(config.Anchors, file) {
				config.Anchors = append(config.Anchors, file)
			}
		}
	}
	return config
}
