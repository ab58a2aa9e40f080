package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/configname"
	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Registration is what servers may register at a port, which they dial.
type Registration struct {
	Position
	Services    []Service // nil: a server may register for the services that its certificate names
	Upgrades    []string
	CallerShare int  // percent of a service's slots that one caller may occupy; 0: the default
	ByName      bool // some service admits servers by a name in the certificate
}

// Service lists the servers that may register for one service.
type Service struct {
	Name  string
	Pins  []trust.Digest
	Names []string // DNS names in certificates, in lower case
}

// Keys that have no effect on a port without users.
var (
	notOfRegistrations = []string{"strict", "unmapped", "methods", "server_names", "forwarded", "tunnel", "upstream"}
	notOfBelieved      = []string{"unmapped", "methods"}
)

// registration reads which servers may register. The port's mode and certificates must
// have been read.
func (p *parser) registration(out *Port, m map[string]*yaml.Node) {
	n := m["registration"]
	if n == nil {
		return
	}
	r := &Registration{Position: Position{n}, ByName: true}
	out.Registration = r
	for _, key := range notOfRegistrations {
		if m[key] != nil {
			p.Say(m[key], key+" has no effect on a registration port, which has no users", "remove it, or add another port for users")
		}
	}
	if out.ClientAuth != ports.Require && m["client_cert"] != nil {
		p.Say(m["client_cert"], "client_cert: a registration port needs require: without it, any client could register", "set client_cert: require")
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!bool" {
		if !p.Bool(n, "registration", true) {
			p.Say(n, "registration: false has no effect", "remove it")
		}
		return
	}
	if n.Kind != yaml.MappingNode {
		p.Say(n, "registration is neither true nor a mapping", "write registration: true, or {services: [{name: orders, names: [orders.internal.example]}]}")
		return
	}
	k := p.Map(n, "registration", "services", "upgrades", "caller_share")
	for _, u := range p.scalars(k["upgrades"], "upgrades") {
		if !configname.ValidService(u.Value) {
			p.Say(u.node, fmt.Sprintf("upgrades: %q is not a protocol", u.Value), "write protocol names, such as [websocket]")
		}
		r.Upgrades = append(r.Upgrades, u.Value)
	}
	r.CallerShare = p.callerShare(k["caller_share"])
	if k["services"] == nil {
		return
	}
	r.ByName = false
	nodes := p.List(k["services"], "services")
	if len(nodes) == 0 && k["services"].Kind == yaml.SequenceNode {
		p.Say(k["services"], "services is empty: no server could register", "add a service, such as {name: orders, names: [orders.internal.example]}")
	}
	lines := map[string]int{}
	for _, one := range nodes {
		r.Services = append(r.Services, p.service(one, lines))
		r.ByName = r.ByName || len(r.Services[len(r.Services)-1].Names) > 0
	}
}

// service reads which servers may register for one service. No other server may: it would
// receive requests that are meant for another.
func (p *parser) service(n *yaml.Node, lines map[string]int) Service {
	m := p.Map(n, "the service", "name", "names", "fingerprints")
	out := Service{Name: p.Text(m["name"], "name")}
	switch line, twice := lines[out.Name]; {
	case n.Kind != yaml.MappingNode:
		return out // reported by Map
	case !configname.ValidService(out.Name):
		p.Say(at(m["name"], n), fmt.Sprintf("name: %q is not a service name", out.Name), serviceHint)
	case twice:
		p.Say(m["name"], fmt.Sprintf("service %q is listed twice", out.Name), fmt.Sprintf("merge it with the entry in line %d", line))
	default:
		lines[out.Name] = n.Line
	}
	for _, name := range p.scalars(m["names"], "names") {
		if host := hostname.Canonical(name.Value); !hostname.HasPort(name.Value) && hostname.Valid(host) && !hostname.IsIP(host) {
			out.Names = append(out.Names, host)
		} else {
			hint := "use a whole DNS name of the server's certificate: there are no wildcards"
			if ascii := hostname.ToASCII(name.Value); ascii != "" {
				hint = "write " + ascii
			}
			p.Say(name.node, fmt.Sprintf("names: %q is not a DNS name", name.Value), hint)
		}
	}
	out.Pins = p.pins(m["fingerprints"])
	if m["names"] == nil && m["fingerprints"] == nil {
		p.Say(n, fmt.Sprintf("no server may register for %q", out.Name), "add names: [orders.internal.example] of the server's certificate, or fingerprints")
	}
	return out
}

const serviceHint = "begin with a letter or digit; letters, digits and . _ - may follow, at most 128 characters"

// roles checks registrations and tunnels across ports.
func (p *parser) roles(f *File) {
	var registration *Port
	served := map[string]bool{}
	for i := range f.Ports {
		r := f.Ports[i].Registration
		switch {
		case r == nil:
			continue
		case registration != nil:
			p.Say(r.node, "a second registration port", fmt.Sprintf("remove one: the port in line %d takes registrations", registration.node.Line))
			continue
		}
		registration = &f.Ports[i]
		for _, s := range r.Services {
			served[s.Name] = true
		}
	}
	for i := range f.Ports {
		t := f.Ports[i].Tunnel
		if t == nil {
			continue
		}
		if registration == nil {
			p.Say(t.node, "tunnel has no effect: no port takes registrations", "add a port with registration: true, which servers dial")
			continue
		}
		for _, service := range t.Services() {
			if registration.Registration.Services != nil && !served[service] {
				p.Say(t.node, fmt.Sprintf("no server may register for %q", service), fmt.Sprintf("add it to the services of registration in line %d", registration.Registration.node.Line))
			}
		}
	}
}

// callerShare reads the percentage of the places that one caller may hold; 0 is the default.
func (p *parser) callerShare(n *yaml.Node) int {
	share := p.Int(n, "caller_share", 1, 0)
	if share > 100 {
		p.Say(n, fmt.Sprintf("caller_share: %d is not a percentage", share), "use 1 to 100")
	}
	return share
}
