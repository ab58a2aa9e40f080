package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/source"
)

// configFlags name the configurations of the nodes.
type configFlags struct {
	Config []string `default:"mtlsguard.yaml" sep:"none" placeholder:"FILE" help:"The mtlsguard.yaml of a node, with the files that it names beside it; certificates and keys of its ports may be missing. Once for each kind of node. Default: ${default}."`
}

// defaultConfig is the default of --config.
const defaultConfig = "mtlsguard.yaml"

// nodeConfig is the mtlsguard.yaml of a kind of nodes.
type nodeConfig struct {
	path     string
	settings *site.Source
	ports    []string // names of the ports with users
	users    string   // name in the generation; "" is not in it
	policy   string   // likewise
	anchors  []string // files of the ports' trust, as they are opened
}

// read reads the configurations, and returns the name of the fleet that they have, or "".
func (c *configFlags) read() (out []nodeConfig, fleet string, err error) {
	var wrong errorlist.List
	for _, path := range c.Config {
		n, err := readConfig(path)
		wrong.Merge(err, configerror.Error{File: path})
		if err != nil {
			continue
		}
		if name := n.settings.Fleet; name != "" && fleet != "" && name != fleet {
			wrong.Add(configerror.Error{File: path, Line: n.settings.Line(), What: fmt.Sprintf("source: fleet is %q, and %q in another --config", name, fleet), Hint: "name only nodes of one fleet"})
		}
		fleet = cmp.Or(fleet, n.settings.Fleet)
		out = append(out, *n)
	}
	return out, fleet, wrong.Err()
}

func readConfig(path string) (*nodeConfig, error) {
	files := fileset.New(nil)
	settings, err := site.ReadSource(path, files, site.Program{Editor: true})
	if err != nil {
		return nil, hintConfig(err)
	}
	if settings == nil {
		return nil, &configerror.Error{File: path, What: "source is missing: a node with this configuration follows no fleet", Hint: "add source: {mount: fleet, keep: FOLDER, signers: [FILE]}, or name another file with --config"}
	}
	data, err := files.Get(path)
	if err != nil {
		return nil, err
	}
	var wrong errorlist.List
	f := config.Parse(path, data, config.Program{Editor: true}, &wrong)
	n := &nodeConfig{path: path, settings: settings}
	n.users, n.policy = n.inside(f.Users.Value), n.inside(f.Policy.Value)
	for _, p := range f.AllPorts() {
		if !p.Authorizes() {
			continue
		}
		n.ports = append(n.ports, p.Name)
		for _, a := range anchorsOf(p) {
			n.anchors = append(n.anchors, files.Beside(path, a.Value))
		}
	}
	return n, nil
}

// anchorsOf returns the anchors of a port's users.
func anchorsOf(p config.Port) (out []config.Scalar) {
	trusts := []*config.Trust{p.Trust}
	if p.Forwarded != nil {
		trusts = append(trusts, p.Forwarded.Users)
	}
	for _, t := range trusts {
		if t == nil {
			continue
		}
		out = append(out, t.Anchors...)
		for _, d := range t.TrustDomains {
			out = append(out, d.Anchors...)
		}
	}
	return out
}

// hintConfig adds a hint about --config to an error about a file that does not exist.
func hintConfig(err error) error {
	if all := configerror.All(err); len(all) == 1 && all[0].Line == 0 {
		e := *all[0]
		e.Hint = "--config FILE with the mtlsguard.yaml of a node: generations are checked as its node would check them"
		return &e
	}
	return err
}

// inside returns the name in a generation of a file that the configuration names, or "".
func (n *nodeConfig) inside(name string) string {
	if name == "" {
		return ""
	}
	return n.belowMount(fileset.New(nil).Beside(n.path, name))
}

// belowMount returns the name in a generation of a file, which has the name on a node as it is opened, or "".
func (n *nodeConfig) belowMount(path string) string {
	if rest, ok := strings.CutPrefix(filepath.ToSlash(path), filepath.ToSlash(n.settings.Mount)+"/"); ok {
		return rest
	}
	return ""
}

// loaded is a generation as a kind of nodes loads it.
type loaded struct {
	*site.Generation
	findings []configerror.Finding
}

// load loads a generation, when previous is in effect.
func (n *nodeConfig) load(ctx context.Context, g *source.Generation, previous *site.Generation, now func() time.Time) (loaded, error) {
	next, findings, err := site.LoadNext(ctx, n.path, n.settings, g, previous, now)
	return loaded{next, findings}, err
}

// portsOf returns the names of the ports of a fleet: those of the configurations, and those that the parent
// has.
func portsOf(configs []nodeConfig, parent *source.Generation) []string {
	var out []string
	if parent != nil {
		out = slices.Clone(parent.Manifest.Ports)
	}
	for _, n := range configs {
		out = append(out, n.ports...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkFleet returns why nodes would not use a generation: it is of another fleet, or if signed is set no
// trusted signer has signed it.
func checkFleet(configs []nodeConfig, g *source.Generation, signed bool) error {
	for _, n := range configs {
		s := n.settings
		if s.Fleet != "" && s.Fleet != g.Manifest.Fleet {
			return s.Check(g)
		}
		if !signed || s.Unsigned {
			continue
		}
		if err := s.Signers.Check(g); err != nil {
			return console.UsageError(err.Error(), "--sign KEY with a key whose public key is in source.signers of "+n.path)
		}
	}
	return nil
}

// whyUnused returns why nodes would not use a generation that is in the store, or "".
func whyUnused(configs []nodeConfig, g *source.Generation) string {
	if all := configerror.All(checkFleet(configs, g, true)); len(all) > 0 {
		return all[0].What
	}
	return ""
}
