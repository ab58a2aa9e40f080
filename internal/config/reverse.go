package config

import (
	"fmt"
	"net"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/configname"
	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Reverse lists the gateways that this server dials. To the guard the tunnels to them are
// one port with a name.
type Reverse struct {
	Port                        // name, certificate, trust of the callers, and settings of the guard
	Gateways, Services []string // addresses to dial, and services to register for
	ServerName         string   // empty: the host of the address
	Pins               []trust.Digest
	Names              []string
	Gateway            *Trust
}

const defaultTunnel = "tunnel"

// reverse reads which gateways this server dials, and which callers it serves through them.
func (p *parser) reverse(n *yaml.Node) *Reverse {
	m := p.Map(n, "reverse", "name", "gateways", "services", "server_name", "certificate", "gateway", "clients",
		"strict", "unmapped", "methods", "server_names", "upstream")
	out := &Reverse{Port: Port{Position: Position{n}, Name: defaultTunnel, Strict: true, ClientAuth: ports.Request}}
	if n.Kind != yaml.MappingNode {
		return out // reported by Map
	}
	if m["name"] != nil {
		out.Name = p.Text(m["name"], "name")
	}
	if line, twice := p.names[out.Name]; twice {
		p.Say(at(m["name"], n), fmt.Sprintf("name: %q is already used", out.Name), fmt.Sprintf("the port in line %d uses it: set another name in reverse", line))
	} else if !configname.Valid(out.Name) {
		p.Say(at(m["name"], n), fmt.Sprintf("name: %q is not a port name", out.Name), configname.Hint)
	}
	out.Gateways = p.atLeastOne(n, m["gateways"], "gateways", "HOST:PORT", "write addresses such as gateway.acme.example:8444", func(text string) bool {
		host, service, err := net.SplitHostPort(text)
		if err != nil || host == "" || service == "" {
			return false
		}
		number, err := net.LookupPort("tcp", service)
		return err == nil && number > 0
	})
	out.Services = p.atLeastOne(n, m["services"], "services", "a service name", "write the names that the gateway uses, such as [orders]", configname.ValidService)
	if out.ServerName = p.Text(m["server_name"], "server_name"); out.ServerName != "" && (hostname.HasPort(out.ServerName) || !hostname.Valid(hostname.Canonical(out.ServerName))) {
		hint := "use a DNS name of the gateway's certificate"
		if ascii := hostname.ToASCII(out.ServerName); ascii != "" {
			hint = "write " + ascii
		}
		p.Say(m["server_name"], fmt.Sprintf("server_name: %q is not a host name", out.ServerName), hint)
	}
	p.certificate(&out.Port, n, m["certificate"])
	p.gatewayDialled(out, n, m["gateway"])
	if m["clients"] != nil {
		out.Trust = p.trust(m["clients"])
	} else {
		p.Say(n, "reverse has no clients", "add clients: {anchors: [FILE]} with the CA of your users: a forwarded certificate is verified again")
	}
	p.callers(&out.Port, m)
	p.upstream(&out.Port, m["upstream"])
	return out
}

// atLeastOne reads a list of one or more values, each of them once. kind names a value in
// errors.
func (p *parser) atLeastOne(around, n *yaml.Node, key, kind, hint string, valid func(string) bool) []string {
	var out []string
	for _, one := range p.scalars(n, key) {
		switch {
		case !valid(one.Value):
			p.Say(one.node, fmt.Sprintf("%s: %q is not %s", key, one.Value, kind), hint)
		case slices.Contains(out, one.Value):
			p.Say(one.node, fmt.Sprintf("%s: %q is listed twice", key, one.Value), "remove one")
		default:
			out = append(out, one.Value)
		}
	}
	if n == nil || n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.Say(at(n, around), "reverse has no "+key, hint)
	}
	return out
}

// gatewayDialled reads how gateways are verified. They are TLS servers here.
func (p *parser) gatewayDialled(out *Reverse, around, n *yaml.Node) {
	if n == nil {
		p.Say(around, "reverse has no gateway: any server could take its place", "add gateway: {anchors: [FILE], names: [gateway.acme.example]}, or fingerprints")
		return
	}
	var f Forwarded
	p.gateway(&f, n)
	out.Pins, out.Names, out.Gateway = f.Pins, f.Names, f.Gateway
	if f.Gateway != nil {
		f.Gateway.Usage = trust.UsageServer
	} else if n.Kind == yaml.MappingNode {
		p.Say(n, "gateway has no anchors: the certificate of a gateway cannot be verified", "add anchors: [FILE] with a CA that issues for gateways, and for no users")
	}
}
