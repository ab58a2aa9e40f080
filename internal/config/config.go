// Package config reads mtlsguard.yaml as it is written: syntax, keys, ranges and defaults.
// It opens none of the files that mtlsguard.yaml names. docs/configuration.md describes
// the keys.
package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

// File is mtlsguard.yaml.
type File struct {
	Users, Policy Scalar        // names of files; may be empty
	Reload        time.Duration // between two looks at the files; 0 is never
	Ports         []Port
	Reverse       *Reverse // nil: the server dials no gateway
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

// Port is one element of ports.
type Port struct {
	Position
	Registration   *Registration
	Tunnel         *Tunnel
	Name           string
	Listen         string
	ClientAuth     ports.ClientAuth
	MinVersion     uint16
	Cert, Key      Scalar
	Trust          *Trust
	Forwarded      *Forwarded
	Strict         bool
	Unmapped       string
	Methods        []string
	ServerNames    []string
	CancelRequests bool
	Limits         ports.Limits
}

// Trust is how certificates are verified: the keys of trust, gateway and clients.
type Trust struct {
	Position
	Anchors, CRLs   []Scalar
	Profile         trust.Profile
	Usage           trust.Usage
	Revocation      trust.Revocation
	Fetch           []Fetch
	OCSP            *ocsp.Config
	MustBeRevoked   []Scalar // certificates that the CRLs must revoke: a self-test
	CRLIssuers      []Scalar // certificates of CRL issuers below the anchors
	MaxLeafLifetime time.Duration
	MaxDepth        int
	Invalid         bool // it has errors, all of them reported
}

// Fetch is a CRL file that is renewed from a URL.
type Fetch struct {
	Position
	URL, File string
	Issuer    Scalar // the certificate of the CRL issuer, if that is no anchor; may be empty
	MaxBytes  int    // of a response
}

const (
	defaultReload = 5 * time.Second
	minReload     = 50 * time.Millisecond
	minFetch      = 1024 // bytes
)

var portName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// parser reads mtlsguard.yaml.
type parser struct {
	strictyaml.Doc
	names, addrs map[string]int   // of the ports so far, and the line of each
	fetched      map[string]Fetch // by file
}

// Parse reads mtlsguard.yaml. name is its name in errors. It adds every error to wrong, and
// returns nil if the text is not YAML. If wrong has grown, the File is incomplete.
func Parse(name string, data []byte, wrong *errorlist.List) *File {
	p := &parser{Doc: strictyaml.Doc{File: name, Wrong: wrong}, names: map[string]int{}, addrs: map[string]int{}, fetched: map[string]Fetch{}}
	root := p.Parse(data)
	if root == nil {
		return nil
	}
	m := p.Map(root, "mtlsguard.yaml", "users", "policy", "reload", "ports", "reverse")
	f := &File{
		Users:  p.scalar(m["users"], "users"),
		Policy: p.scalar(m["policy"], "policy"),
		Reload: p.reload(m["reload"]),
	}
	p.ports(f, root, m)
	if m["reverse"] != nil {
		f.Reverse = p.reverse(m["reverse"])
	}
	if f.Policy.Value == "" && (len(f.Ports) == 0 || slices.ContainsFunc(f.AllPorts(), Port.Authorizes)) {
		p.Say(at(m["policy"], root), "policy is missing", "policy: policy.csv says what users may do")
	}
	if f.Reload == 0 {
		for _, one := range p.fetched {
			p.Say(one.node, "fetch renews a file, and reload is 0: nobody would see it", "reload: 5s")
		}
	}
	return f
}

func (p *parser) ports(f *File, root *yaml.Node, m map[string]*yaml.Node) {
	if m["ports"] == nil {
		if m["reverse"] == nil {
			p.Say(root, "ports is missing", "ports: with at least one port, or reverse: with a gateway to dial")
		}
		return
	}
	nodes := p.List(m["ports"], "ports")
	if m["ports"].Kind == yaml.SequenceNode && len(nodes) == 0 {
		p.Say(m["ports"], "ports has no port", "- {name: …, listen: …, client_cert: …, certificate: …}")
	}
	for _, n := range nodes {
		f.Ports = append(f.Ports, p.port(n))
	}
	p.roles(f)
}

// unique rejects a value that another port has.
func (p *parser) unique(n *yaml.Node, seen map[string]int, key, value string) {
	if line, twice := seen[value]; twice {
		p.Say(n, fmt.Sprintf("%s %q is taken", key, n.Value), fmt.Sprintf("the port in line %d has it", line))
		return
	}
	seen[value] = n.Line
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
			p.Say(c, key+" has an empty entry", "leave it out")
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
		p.Say(n, fmt.Sprintf("reload is %s", d), fmt.Sprintf("%s or more, or 0 to turn it off", minReload))
	}
	return d
}

func (p *parser) port(n *yaml.Node) Port {
	m := p.Map(n, "the port", "name", "listen", "client_cert", "min_version", "certificate", "trust", "strict", "unmapped",
		"methods", "server_names", "cancel_requests", "limits", "forwarded", "registration", "tunnel")
	out := Port{Position: Position{n}, Strict: true}
	if n.Kind != yaml.MappingNode {
		return out // reported by Map
	}
	out.Name, out.Listen = p.Text(m["name"], "name"), p.Text(m["listen"], "listen")
	if !portName.MatchString(out.Name) {
		p.Say(at(m["name"], n), fmt.Sprintf("name %q is no port name", out.Name), "letters, digits and . _ - after the first, at most 64")
	} else {
		p.unique(m["name"], p.names, "name", out.Name)
	}
	p.listen(&out, at(m["listen"], n))
	mode := p.Text(m["client_cert"], "client_cert")
	for _, a := range []ports.ClientAuth{ports.None, ports.Request, ports.Require} {
		if mode == a.String() {
			out.ClientAuth = a
		}
	}
	if out.ClientAuth == 0 {
		p.Say(at(m["client_cert"], n), "client_cert is not set to a mode", "none, request or require; there is no default")
	}
	switch v := p.Text(m["min_version"], "min_version"); v {
	case "", "1.2":
		out.MinVersion = 0x0303
	case "1.3":
		out.MinVersion = 0x0304
	default:
		p.Say(m["min_version"], fmt.Sprintf("min_version is %q", v), "1.2 or 1.3")
	}
	p.certificate(&out, n, m["certificate"])
	if m["trust"] != nil {
		out.Trust = p.trust(m["trust"])
	} else if out.ClientAuth > ports.None && m["forwarded"] == nil {
		p.Say(n, fmt.Sprintf("port %q asks for certificates and has no trust", out.Name), "trust: {anchors: [FILE]} with the CA of your clients")
	}
	p.forwarded(&out, m["forwarded"])
	p.callers(&out, m)
	p.registration(&out, m)
	p.tunnel(&out, m)
	out.CancelRequests = p.Bool(m["cancel_requests"], "cancel_requests", false)
	out.Limits = p.limits(m["limits"])
	return out
}

// listen checks the address as far as that goes without opening it.
func (p *parser) listen(out *Port, n *yaml.Node) {
	host, service, err := net.SplitHostPort(out.Listen)
	number := 0
	if err == nil && service != "" {
		number, err = net.LookupPort("tcp", service)
	}
	if err != nil || service == "" {
		p.Say(n, fmt.Sprintf("listen %q is not host:port", out.Listen), "listen: 127.0.0.1:8443")
		return
	}
	if number == 0 {
		return // any free port
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "" // all addresses, in any notation
	}
	p.unique(n, p.addrs, "listen", net.JoinHostPort(host, strconv.Itoa(number)))
}

func (p *parser) certificate(out *Port, port, n *yaml.Node) {
	if n == nil {
		p.Say(port, fmt.Sprintf("port %q has no certificate", out.Name), "certificate: {cert: FILE, key: FILE}")
		return
	}
	m := p.Map(n, "certificate", "cert", "key")
	out.Cert, out.Key = p.scalar(m["cert"], "cert"), p.scalar(m["key"], "key")
	if out.Cert.Value == "" || out.Key.Value == "" {
		p.Say(n, "certificate wants cert and key", "certificate: {cert: FILE, key: FILE}")
	}
}
