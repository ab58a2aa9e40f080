package mtlsguard

import (
	"fmt"
	"net"
	"regexp"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/mistake"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// file is mtlsguard.yaml as it is written, checked but for what the files that it
// names hold.
type file struct {
	users, policy named
	reload        time.Duration
	ports         []portFile
}

// named is a file name and where it stands.
type named struct {
	name string
	node *yaml.Node
}

type portFile struct {
	node        *yaml.Node
	name        string
	listen      string
	clientCert  ports.ClientAuth
	minVersion  uint16
	cert, key   named
	trust       *trustFile
	strict      bool
	unmapped    string
	methods     []string
	serverNames []string
	limits      ports.Limits
}

type trustFile struct {
	node          *yaml.Node
	anchors, crls []named
	profile       trust.Profile
	revocation    trust.Revocation
}

const (
	defaultReload = 5 * time.Second
	minReload     = 50 * time.Millisecond
)

var portName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// parser reads mtlsguard.yaml.
type parser struct{ strictyaml.Doc }

func parse(name string, data []byte, wrong *mistake.List) *file {
	p := &parser{strictyaml.Doc{File: name, Wrong: wrong}}
	root := p.Parse(data)
	if root == nil {
		return nil
	}
	m := p.Map(root, "mtlsguard.yaml", "users", "policy", "reload", "ports")
	f := &file{
		users:  p.named(m["users"], "users"),
		policy: p.named(m["policy"], "policy"),
		reload: p.reload(m["reload"]),
	}
	if f.policy.name == "" {
		p.Say(root, "policy is missing", "policy: policy.csv says what users may do")
	}
	if m["ports"] == nil {
		p.Say(root, "ports is missing", "ports: with at least one port")
		return f
	}
	nodes := p.List(m["ports"], "ports")
	if len(nodes) == 0 {
		p.Say(m["ports"], "ports has no port", "")
	}
	names, addrs := map[string]int{}, map[string]int{}
	for _, n := range nodes {
		port := p.port(n)
		p.once(n, names, "name", port.name)
		if _, number, err := net.SplitHostPort(port.listen); err == nil && number != "0" {
			p.once(n, addrs, "listen", port.listen)
		}
		f.ports = append(f.ports, port)
	}
	return f
}

// once refuses a value that another port has.
func (p *parser) once(n *yaml.Node, seen map[string]int, key, value string) {
	if value == "" {
		return
	}
	if line, twice := seen[value]; twice {
		p.Say(n, fmt.Sprintf("%s %q is taken", key, value), fmt.Sprintf("the port in line %d has it", line))
	}
	seen[value] = n.Line
}

func (p *parser) named(n *yaml.Node, key string) named { return named{p.Text(n, key), n} }

func (p *parser) nameds(n *yaml.Node, key string) []named {
	if n == nil {
		return nil
	}
	var out []named
	for _, c := range p.List(n, key) {
		if f := p.named(c, key); f.name != "" {
			out = append(out, f)
		}
	}
	return out
}

func (p *parser) reload(n *yaml.Node) time.Duration {
	d := p.Duration(n, "reload", 0, defaultReload)
	if d > 0 && d < minReload {
		p.Say(n, fmt.Sprintf("reload is %s", d), fmt.Sprintf("%s or more, or 0 to turn it off", minReload))
	}
	return d
}

func (p *parser) port(n *yaml.Node) portFile {
	m := p.Map(n, "the port", "name", "listen", "client_cert", "min_version", "certificate", "trust", "strict", "unmapped",
		"methods", "server_names", "limits")
	out := portFile{
		node:        n,
		name:        p.Text(m["name"], "name"),
		listen:      p.Text(m["listen"], "listen"),
		strict:      p.Bool(m["strict"], "strict", true),
		unmapped:    p.Text(m["unmapped"], "unmapped"),
		methods:     p.Texts(m["methods"], "methods"),
		serverNames: p.Texts(m["server_names"], "server_names"),
	}
	if !portName.MatchString(out.name) {
		p.Say(at(m["name"], n), fmt.Sprintf("name %q is no port name", out.name), "letters, digits and . _ - after the first, at most 64")
	}
	if _, _, err := net.SplitHostPort(out.listen); err != nil {
		p.Say(at(m["listen"], n), fmt.Sprintf("listen %q is not host:port", out.listen), "listen: 127.0.0.1:8443")
	}
	var ok bool
	if out.clientCert, ok = ports.ParseClientAuth(p.Text(m["client_cert"], "client_cert")); !ok {
		p.Say(at(m["client_cert"], n), "client_cert is not set to a mode", "none, request or require; there is no default")
	}
	switch v := p.Text(m["min_version"], "min_version"); v {
	case "", "1.2":
		out.minVersion = 0x0303
	case "1.3":
		out.minVersion = 0x0304
	default:
		p.Say(m["min_version"], fmt.Sprintf("min_version is %q", v), "1.2 or 1.3")
	}
	p.certificate(&out, n, m["certificate"])
	if m["trust"] != nil {
		out.trust = p.trust(m["trust"])
	} else if out.clientCert > ports.None {
		p.Say(n, fmt.Sprintf("port %q asks for certificates and has no trust", out.name), "trust: {anchors: [FILE]} with the CA of your clients")
	}
	out.limits = p.limits(m["limits"])
	return out
}

// at is a node, or the one around it where it is missing.
func at(n, around *yaml.Node) *yaml.Node {
	if n == nil {
		return around
	}
	return n
}

func (p *parser) certificate(out *portFile, port, n *yaml.Node) {
	if n == nil {
		p.Say(port, fmt.Sprintf("port %q has no certificate", out.name), "certificate: {cert: FILE, key: FILE}")
		return
	}
	m := p.Map(n, "certificate", "cert", "key")
	out.cert, out.key = p.named(m["cert"], "cert"), p.named(m["key"], "key")
	if out.cert.name == "" || out.key.name == "" {
		p.Say(n, "certificate wants cert and key", "certificate: {cert: FILE, key: FILE}")
	}
}

func (p *parser) trust(n *yaml.Node) *trustFile {
	m := p.Map(n, "trust", "anchors", "profile", "crls", "revocation")
	out := &trustFile{node: n, anchors: p.nameds(m["anchors"], "anchors"), crls: p.nameds(m["crls"], "crls")}
	if len(out.anchors) == 0 {
		p.Say(at(m["anchors"], n), "trust has no anchors", "anchors: [FILE] with the CA of your clients; the system's are never used")
	}
	switch v := p.Text(m["profile"], "profile"); v {
	case "", "strict":
		out.profile = trust.Strict
	case "compatible":
		out.profile = trust.Compatible
	default:
		p.Say(m["profile"], fmt.Sprintf("profile is %q", v), "strict or compatible")
	}
	switch v := p.Text(m["revocation"], "revocation"); v {
	case "":
		out.revocation = trust.Auto
	case "off":
		out.revocation = trust.Off
	case "soft":
		out.revocation = trust.Soft
	case "hard":
		out.revocation = trust.Hard
		if len(out.crls) == 0 {
			p.Say(m["revocation"], "revocation is hard and there are no crls: everyone would be refused", "crls: [FILE], or revocation: off")
		}
	default:
		p.Say(m["revocation"], fmt.Sprintf("revocation is %q", v), "off, soft or hard")
	}
	return out
}

func (p *parser) limits(n *yaml.Node) ports.Limits {
	var l ports.Limits
	if n == nil {
		return l
	}
	m := p.Map(n, "limits", "handshake", "handshakes", "connections", "connections_per_ip", "header_bytes", "headers", "idle",
		"request", "streams", "connection_age", "drain")
	const least = time.Millisecond
	l.Handshake = p.Duration(m["handshake"], "handshake", least, 0)
	l.Handshakes = p.Int(m["handshakes"], "handshakes", 1, 0)
	l.Connections = p.Int(m["connections"], "connections", 1, 0)
	l.PerIP = p.Int(m["connections_per_ip"], "connections_per_ip", 1, 0)
	l.HeaderBytes = p.Int(m["header_bytes"], "header_bytes", 4096, 0)
	l.Headers = p.Duration(m["headers"], "headers", least, 0)
	l.Idle = p.Duration(m["idle"], "idle", least, 0)
	l.Request = p.Duration(m["request"], "request", 0, 0)
	l.Streams = p.Int(m["streams"], "streams", 1, 0)
	l.ConnectionAge = p.Duration(m["connection_age"], "connection_age", 0, 0)
	if m["connection_age"] != nil && l.ConnectionAge == 0 {
		l.ConnectionAge = -1 // written as 0: never
	}
	l.Drain = p.Duration(m["drain"], "drain", least, 0)
	return l
}
