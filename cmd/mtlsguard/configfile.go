package main

import (
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
)

// site is where things stand in a configuration: for hints, and for verbs that change
// a file. It is read leniently; what the file means is for mtlsguard.Open to say.
type configFile struct {
	path          string
	users, policy string       // resolved; empty where the file names none
	ports         []configPort // where users come: the tunnels of reverse are one, too
}

type configPort struct {
	Name         string                 `yaml:"name"`
	Strict       yaml.Node              `yaml:"strict"`
	Trust        yaml.Node              `yaml:"trust"`
	Forwarded    yaml.Node              `yaml:"forwarded"`
	ServerNames  []string               `yaml:"server_names"`
	Methods      []string               `yaml:"methods"`
	Registration yaml.Node              `yaml:"registration"`
	Tunnel       struct{ Check string } `yaml:"tunnel"`
	Clients      yaml.Node              `yaml:"clients"` // of reverse
	line         int
	anchors      []string // resolved
	trustLine    int
}

func readConfigFile(path string) (*configFile, error) {
	data, err := certfile.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f struct {
		Users   string      `yaml:"users"`
		Policy  string      `yaml:"policy"`
		Ports   []yaml.Node `yaml:"ports"`
		Reverse yaml.Node   `yaml:"reverse"`
	}
	if err := strictyaml.Decode(path, data, &f); err != nil {
		return nil, &configerror.Error{File: path, What: "this is no configuration: " + err.Error(), Hint: "name an mtlsguard.yaml"}
	}
	s := &configFile{path: path, users: resolvePath(path, f.Users), policy: resolvePath(path, f.Policy)}
	nodes := f.Ports
	if !f.Reverse.IsZero() {
		nodes = append(nodes, f.Reverse)
	}
	for i := range nodes {
		n := &nodes[i]
		p := configPort{line: n.Line}
		_ = n.Decode(&p) // what it cannot read, Open tells
		if !p.Registration.IsZero() || p.Tunnel.Check == "believed" {
			continue // nobody is mapped there, and no rule counts
		}
		if i == len(f.Ports) {
			p.Trust = p.Clients
			if p.Name == "" {
				p.Name = "tunnel" // the default
			}
		}
		var t struct{ Anchors []string }
		_ = p.Trust.Decode(&t)
		for _, a := range t.Anchors {
			p.anchors = append(p.anchors, resolvePath(path, a))
		}
		p.trustLine = p.Trust.Line
		s.ports = append(s.ports, p)
	}
	return s, nil
}

// resolve resolves a name that stands in a file.
func resolvePath(file, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}

func (s *configFile) port(name string) configPort {
	for _, p := range s.ports {
		if p.Name == name {
			return p
		}
	}
	return configPort{Name: name}
}

// gatewaysOnly reports whether users come to the port through a gateway.
func (p configPort) isForwarded() bool { return p.Forwarded.Kind != 0 }

// topology is how the port's gateway writes; RFC 9440 where it has none.
func (p configPort) topology() (forwarded.Topology, error) {
	if !p.isForwarded() {
		return forwarded.RFC9440(), nil
	}
	var f struct {
		Format, Header string
		Verified       struct{ Header, Value string }
	}
	if err := p.Forwarded.Decode(&f); err != nil {
		return forwarded.Topology{}, err
	}
	return forwarded.ParseTopology(f.Format, f.Header, f.Verified.Header, f.Verified.Value)
}

func (s *configFile) portNames() []string {
	var out []string
	for _, p := range s.ports {
		out = append(out, p.Name)
	}
	return out
}

// beside writes a path as it should stand in a file: relative to it.
func relativeTo(file, name string) string {
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
