package mtlsguard

import (
	"fmt"
	"net"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// reverseFile is what the file says about gateways that this server dials. To the
// guard the tunnels are a port with a name.
type reverseFile struct {
	portFile                    // name, certificate, trust of the callers, and what the guard does
	gateways, services []string // addresses to dial, and what is offered there
	serverName         string   // empty: the host of the address
	pins               []trust.Digest
	names              []string
	gateway            *trustFile
}

const defaultTunnel = "tunnel"

// reverse reads which gateways this server dials, and whom it serves there.
func (p *parser) reverse(n *yaml.Node) *reverseFile {
	m := p.Map(n, "reverse", "name", "gateways", "services", "server_name", "certificate", "gateway", "clients",
		"strict", "unmapped", "methods", "server_names")
	out := &reverseFile{portFile: portFile{position: position{n}, name: defaultTunnel, strict: true, clientCert: ports.Request}}
	if n.Kind != yaml.MappingNode {
		return out // told by Map
	}
	if m["name"] != nil {
		out.name = p.Text(m["name"], "name")
	}
	if line, twice := p.names[out.name]; twice {
		p.Say(at(m["name"], n), fmt.Sprintf("name %q is taken", out.name), fmt.Sprintf("the port in line %d has it; reverse: {name: …} is another's", line))
	} else if !portName.MatchString(out.name) {
		p.Say(at(m["name"], n), fmt.Sprintf("name %q is no port name", out.name), "letters, digits and . _ - after the first, at most 64")
	}
	out.gateways = p.some(n, m["gateways"], "gateways", "gateways: [\"gateway.acme.example:8444\"]", func(text string) bool {
		host, service, err := net.SplitHostPort(text)
		if err != nil || host == "" || service == "" {
			return false
		}
		number, err := net.LookupPort("tcp", service)
		return err == nil && number > 0
	})
	out.services = p.some(n, m["services"], "services", "services: [orders], as the gateway knows them", serviceName.MatchString)
	if out.serverName = p.Text(m["server_name"], "server_name"); out.serverName != "" && (hostname.HasPort(out.serverName) || !hostname.Valid(hostname.Canonical(out.serverName))) {
		p.Say(m["server_name"], fmt.Sprintf("server_name: %q is not a host name", out.serverName), "a name that the gateway's certificate has")
	}
	p.certificate(&out.portFile, n, m["certificate"])
	p.dialled(out, n, m["gateway"])
	if m["clients"] != nil {
		out.trust = p.trust(m["clients"])
	} else {
		p.Say(n, "reverse has no clients", "clients: {anchors: [FILE]} with the CA of your users; what the gateway believed is not asked")
	}
	p.callers(&out.portFile, m)
	return out
}

// some reads a list of one or more, each once.
func (p *parser) some(around, n *yaml.Node, key, hint string, fine func(string) bool) []string {
	var out []string
	for _, one := range p.nameds(n, key) {
		switch {
		case !fine(one.name):
			p.Say(one.node, fmt.Sprintf("%s: %q is none", key, one.name), hint)
		case slices.Contains(out, one.name):
			p.Say(one.node, fmt.Sprintf("%s: %q is there twice", key, one.name), "once is enough")
		default:
			out = append(out, one.name)
		}
	}
	if n == nil || n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.Say(at(n, around), "reverse has no "+key, hint)
	}
	return out
}

// dialled reads who is a gateway. Its certificate is a server's.
func (p *parser) dialled(out *reverseFile, around, n *yaml.Node) {
	if n == nil {
		p.Say(around, "reverse has no gateway: anybody could be it", "gateway: {anchors: [FILE], names: [gateway.acme.example]}, or fingerprints")
		return
	}
	var f forwardedFile
	p.gateway(&f, n)
	out.pins, out.names, out.gateway = f.pins, f.names, f.gateway
	if f.gateway != nil {
		f.gateway.usage = trust.ServerAuth
	} else if n.Kind == yaml.MappingNode {
		p.Say(n, "nothing says who issues the gateway's certificate", "anchors: [FILE] with the CA of the gateway, and of no user")
	}
}
