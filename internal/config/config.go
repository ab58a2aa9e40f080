// Package config reads mtlsguard.yaml as it is written: syntax, keys, ranges and defaults.
// It opens none of the files that mtlsguard.yaml names. docs/configuration.md describes
// the keys.
package config

import (
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
	"github.com/mtlsguard/mtlsguard/ports"
)

// File is mtlsguard.yaml.
type File struct {
	Users, Policy Scalar        // names of files; may be empty
	Reload        time.Duration // between two looks at the files; 0 is never
	Ports         []Port
	Quotas        []Quota
	Addresses     ports.Addresses // of the ports that have none of their own
	Reverse       *Reverse        // nil: the server dials no gateway
	Admin         *Admin          // nil: there is no admin page
	Metrics       *Page           // nil: there are no metrics
	Tokens        *Tokens         // nil: no header is signed
	Source        *Source         // nil: all files are on disk
}

// AllPorts returns the ports in the order of the file. If the server dials gateways, the
// last one stands for the tunnels to them.
func (f *File) AllPorts() []Port {
	if f.Reverse == nil {
		return f.Ports
	}
	return append(slices.Clip(f.Ports), f.Reverse.Port)
}

// Position is the line and the column at which a part of the file begins.
type Position struct{ node *yaml.Node }

// Line returns the line, from 1.
func (p Position) Line() int { return p.node.Line }

// In returns a configuration error at the position, in the file of that name. What and
// Hint are empty.
func (p Position) In(file string) configerror.Error {
	return configerror.Error{File: file, Line: p.node.Line, Column: p.node.Column}
}

// Scalar is a text, such as the name of a file, and its position.
type Scalar struct {
	Position
	Value string
}

const (
	defaultReload = 5 * time.Second
	minReload     = 50 * time.Millisecond
	minFetch      = 1024 // bytes
)

// parser reads mtlsguard.yaml.
type parser struct {
	strictyaml.Doc
	program      Program
	names, addrs map[string]int   // of the ports so far, and the line of each
	fetched      map[string]Fetch // by file
}

// Program lists the parts that the program provides in place of the file.
type Program struct {
	Map, Policy  bool
	Source       bool
	AnySource    bool     // the file may have a block source, with a url or without
	Editor       bool     // it checks the files for nodes: where they get their generations from does not matter
	Certificates []string // names of ports
}

// Parse reads mtlsguard.yaml. name is its name in errors. It adds every error to wrong, and
// returns nil if the text is not YAML. If wrong has grown, the File is incomplete.
func Parse(name string, data []byte, program Program, wrong *errorlist.List) *File {
	p := &parser{Doc: strictyaml.Doc{File: name, Wrong: wrong}, program: program, names: map[string]int{}, addrs: map[string]int{}, fetched: map[string]Fetch{}}
	root := p.Parse(data)
	if root == nil {
		return nil
	}
	m := p.Map(root, "mtlsguard.yaml", "users", "policy", "reload", "ports", "reverse", "quotas", "addresses", "source", "admin", "metrics", "tokens")
	f := &File{
		Users:  p.scalar(m["users"], "users"),
		Policy: p.scalar(m["policy"], "policy"),
		Reload: p.reload(m["reload"]),
		Quotas: p.quotas(m["quotas"]),
		Source: p.source(m["source"], root),
	}
	f.Addresses = p.addresses(m["addresses"])
	p.ports(f, root, m)
	if m["reverse"] != nil {
		f.Reverse = p.reverse(m["reverse"])
	}
	p.pages(f, m)
	if program.Map && m["users"] != nil {
		p.Say(m["users"], "users is set, and the program maps certificates itself, by Options.Map", "remove users, or Options.Map")
	}
	if program.Policy {
		if m["policy"] != nil {
			p.Say(m["policy"], "policy is set, and the program decides itself, by Options.Policy", "remove policy, or Options.Policy")
		}
	} else if f.Policy.Value == "" && (len(f.Ports) == 0 || slices.ContainsFunc(f.AllPorts(), Port.Authorizes)) {
		p.Say(at(m["policy"], root), "policy is missing", "add policy: policy.csv, which lists what users may do, or set Options.Policy in the program")
	}
	if f.Reload == 0 {
		for _, one := range p.fetched {
			p.Say(one.node, "fetch has no effect: reload is 0, and no change of the file is read", "set reload, such as reload: 5s")
		}
	}
	return f
}

func (p *parser) ports(f *File, root *yaml.Node, m map[string]*yaml.Node) {
	if m["ports"] == nil {
		if m["reverse"] == nil {
			p.Say(root, "ports is missing", "add ports with at least one port, or reverse with a gateway to dial")
		}
		return
	}
	nodes := p.List(m["ports"], "ports")
	if m["ports"].Kind == yaml.SequenceNode && len(nodes) == 0 {
		p.Say(m["ports"], "ports is empty", "add a port: - {name: …, listen: …, client_cert: …, certificate: …}")
	}
	for _, n := range nodes {
		f.Ports = append(f.Ports, p.port(n))
		if last := &f.Ports[len(f.Ports)-1]; last.Addresses.Equal(ports.Addresses{}) {
			last.Addresses = f.Addresses
		}
	}
	p.roles(f)
}

func (p *parser) scalar(n *yaml.Node, key string) Scalar { return Scalar{Position{n}, p.Text(n, key)} }

// scalars reads a list of texts, none of them empty.
func (p *parser) scalars(n *yaml.Node, key string) []Scalar {
	if n == nil {
		return nil
	}
	var out []Scalar
	for _, c := range p.List(n, key) {
		switch f := p.scalar(c, key); {
		case f.Value != "":
			out = append(out, f)
		case c.Kind == yaml.ScalarNode && c.Tag != "!!null": // else reported by Text
			p.Say(c, key+" has an empty entry", "remove the entry")
		}
	}
	return out
}

// at returns n, or the node around it if n is nil.
func at(n, around *yaml.Node) *yaml.Node {
	if n == nil {
		return around
	}
	return n
}

func (p *parser) reload(n *yaml.Node) time.Duration {
	d := p.duration(n, "reload", 0, defaultReload)
	if d > 0 && d < minReload {
		p.Say(n, fmt.Sprintf("reload: %s is too short", d), fmt.Sprintf("use %s or more, or 0 to turn watching off", minReload))
	}
	return d
}
