package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/configname"
	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/internal/method"
	"github.com/mtlsguard/mtlsguard/internal/systemd"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Port is one element of ports.
type Port struct {
	Position
	Registration   *Registration
	Tunnel         *Tunnel
	Upstream       *Upstream // nil: the program serves the port
	Decision       *Decision // nil: the port serves requests
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
	LimitsInFile   ports.Limits // without the default for a port behind gateways
	Addresses      ports.Addresses
	ProxyFrom      []netip.Prefix // the proxies that send a PROXY header
}

// BehindGateways reports whether few addresses hold the connections of all callers: those of
// gateways, or of servers that register and carry callers through tunnels.
func (p Port) BehindGateways() bool { return p.Forwarded != nil || p.Registration != nil }

// unique rejects a value that another port has.
func (p *parser) unique(n *yaml.Node, seen map[string]int, key, value string) {
	if line, twice := seen[value]; twice {
		p.Say(n, fmt.Sprintf("%s: %q is already used", key, n.Value), fmt.Sprintf("the port in line %d uses it: choose another", line))
		return
	}
	seen[value] = n.Line
}

func (p *parser) port(n *yaml.Node) Port {
	m := p.Map(n, "the port", "name", "listen", "client_cert", "min_version", "certificate", "trust", "strict", "unmapped",
		"methods", "server_names", "cancel_requests", "limits", "addresses", "proxy_protocol", "forwarded", "registration", "tunnel", "upstream", "answer")
	out := Port{Position: Position{n}, Strict: true}
	if n.Kind != yaml.MappingNode {
		return out // reported by Map
	}
	out.Name, out.Listen = p.Text(m["name"], "name"), p.Text(m["listen"], "listen")
	if !configname.Valid(out.Name) {
		p.Say(at(m["name"], n), fmt.Sprintf("name: %q is not a port name", out.Name), configname.Hint)
	} else {
		p.unique(m["name"], p.names, "name", out.Name)
	}
	p.listen(&out, at(m["listen"], n))
	p.clientAuth(&out, n, m["client_cert"])
	switch v := p.Text(m["min_version"], "min_version"); v {
	case "", "1.2":
		out.MinVersion = 0x0303
	case "1.3":
		out.MinVersion = 0x0304
	default:
		p.Say(m["min_version"], fmt.Sprintf("min_version: %q is not a version", v), "use 1.2 or 1.3")
	}
	p.certificate(&out, n, m["certificate"])
	if m["trust"] != nil {
		out.Trust = p.trust(m["trust"])
	} else if out.ClientAuth > ports.None && m["forwarded"] == nil {
		p.Say(n, fmt.Sprintf("port %q requests certificates and has no trust", out.Name), "add trust: {anchors: [FILE]} with the CA of your clients")
	}
	p.forwarded(&out, m["forwarded"])
	p.callers(&out, m)
	p.registration(&out, m)
	p.tunnel(&out, m)
	p.upstream(&out, m["upstream"])
	p.answer(&out, m)
	out.CancelRequests = p.Bool(m["cancel_requests"], "cancel_requests", false)
	out.Limits = p.limits(m["limits"])
	out.LimitsInFile = out.Limits
	out.Addresses = p.addresses(m["addresses"])
	out.ProxyFrom = p.proxyProtocol(m["proxy_protocol"])
	if out.BehindGateways() && out.Limits.PerIP == 0 {
		out.Limits.PerIP = cmp.Or(out.Limits.Connections, defaultConnections) // a gateway is one address
	}
	return out
}

func (p *parser) clientAuth(out *Port, port, n *yaml.Node) {
	if n == nil {
		p.Say(port, "client_cert is missing", "add client_cert: none, request or require; there is no default")
		return
	}
	before := p.Wrong.Len()
	mode := p.Text(n, "client_cert")
	for _, a := range []ports.ClientAuth{ports.None, ports.Request, ports.Require} {
		if mode == a.String() {
			out.ClientAuth = a
			return
		}
	}
	if p.Wrong.Len() == before { // else Text has reported it
		p.Say(n, fmt.Sprintf("client_cert: %q is not a mode", mode), "use none, request or require")
	}
}

// listen checks the address as far as that goes without opening it.
func (p *parser) listen(out *Port, n *yaml.Node) {
	if name, ok := strings.CutPrefix(out.Listen, systemd.Prefix); ok {
		if !systemd.IsName(name) {
			p.Say(n, fmt.Sprintf("listen: %q is not the name of a socket", name), "write systemd:internal, with FileDescriptorName=internal in the .socket unit")
			return
		}
		p.unique(n, p.addrs, "listen", out.Listen)
		return
	}
	host, service, err := net.SplitHostPort(out.Listen)
	number := 0
	if err == nil && service != "" {
		number, err = net.LookupPort("tcp", service)
	}
	if err != nil || service == "" {
		p.Say(n, fmt.Sprintf("listen: %q is not HOST:PORT", out.Listen), "write an address such as 127.0.0.1:8443")
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
	byProgram := slices.Contains(p.program.Certificates, out.Name)
	switch {
	case (byProgram || p.program.Editor) && n == nil:
		return
	case byProgram:
		p.Say(n, fmt.Sprintf("port %q has a certificate, and the program provides one, by Options.Certificates", out.Name), "remove certificate, or the port from Options.Certificates")
		return
	case n == nil:
		p.Say(port, fmt.Sprintf("port %q has no certificate", out.Name), "write certificate: {cert: FILE, key: FILE}")
		return
	}
	m := p.Map(n, "certificate", "cert", "key")
	out.Cert, out.Key = p.scalar(m["cert"], "cert"), p.scalar(m["key"], "key")
	if out.Cert.Value == "" || out.Key.Value == "" {
		p.Say(n, "certificate needs cert and key", "write certificate: {cert: FILE, key: FILE}")
	}
}

// callers reads the settings of the guard.
func (p *parser) callers(out *Port, m map[string]*yaml.Node) {
	out.Strict = p.Bool(m["strict"], "strict", true)
	out.Unmapped = p.Text(m["unmapped"], "unmapped")
	switch {
	case out.Unmapped == identity.Default && out.Strict:
		p.Say(m["unmapped"], `unmapped: "Default" needs strict: false`, "use the name of a user, or set strict: false")
	case out.Unmapped != "" && out.Unmapped != identity.Default && !username.IsUser(out.Unmapped):
		p.Say(m["unmapped"], fmt.Sprintf("unmapped: %q is not a user name", out.Unmapped),
			username.Hint+"; "+username.ReservedHint)
	}
	for _, one := range p.scalars(m["methods"], "methods") {
		if !method.Valid(one.Value) {
			p.Say(one.node, fmt.Sprintf("methods: %q is not a method", one.Value), "use an upper-case word such as PROPFIND")
			continue
		}
		out.Methods = append(out.Methods, one.Value)
	}
	for _, host := range p.scalars(m["server_names"], "server_names") {
		if hostname.HasPort(host.Value) || !hostname.Valid(hostname.Canonical(host.Value)) {
			p.Say(host.node, fmt.Sprintf("server_names: %q is not a host name", host.Value), hostname.HintFor(host.Value))
			continue
		}
		out.ServerNames = append(out.ServerNames, host.Value)
	}
}

// Authorizes reports whether the policy decides about the requests of the port: neither a
// registration port nor one with check: believed.
func (p Port) Authorizes() bool {
	return p.Registration == nil && (p.Tunnel == nil || !p.Tunnel.VerifiedOnly)
}
