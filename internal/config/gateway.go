package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

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

// Tunnel is how the requests of a port reach servers that have registered.
type Tunnel struct {
	Position
	Service      string            // for hosts that Hosts does not list; may be empty
	Hosts        map[string]string // by host, in lower case
	VerifiedOnly bool              // check: believed. The gateway verifies certificates, and the server inside maps and decides
}

var (
	serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
)

// Keys that have no effect on a port without users.
var (
	notOfRegistrations = []string{"strict", "unmapped", "methods", "server_names", "forwarded", "tunnel"}
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
			p.Say(m[key], key+" on a port that takes registrations: no user comes by it", "leave it out, or open another port for callers")
		}
	}
	if out.ClientAuth != ports.Require && m["client_cert"] != nil {
		p.Say(m["client_cert"], "anybody could ask to serve", "client_cert: require, where registration is")
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!bool" {
		if !p.Bool(n, "registration", true) {
			p.Say(n, "registration is false", "leave it out")
		}
		return
	}
	if n.Kind != yaml.MappingNode {
		p.Say(n, "registration is neither true nor a mapping", "registration: true, or {services: [{name: orders, names: [orders.internal.example]}]}")
		return
	}
	k := p.Map(n, "registration", "services", "upgrades", "caller_share")
	for _, u := range p.scalars(k["upgrades"], "upgrades") {
		if !serviceName.MatchString(u.Value) {
			p.Say(u.node, fmt.Sprintf("upgrades: %q is no protocol", u.Value), "upgrades: [websocket]")
		}
		r.Upgrades = append(r.Upgrades, u.Value)
	}
	if r.CallerShare = p.Int(k["caller_share"], "caller_share", 1, 0); r.CallerShare > 100 {
		p.Say(k["caller_share"], fmt.Sprintf("caller_share is %d", r.CallerShare), "a percentage, 1 to 100")
	}
	if k["services"] == nil {
		return
	}
	r.ByName = false
	nodes := p.List(k["services"], "services")
	if len(nodes) == 0 && k["services"].Kind == yaml.SequenceNode {
		p.Say(k["services"], "services names none: nobody could serve", "{name: orders, names: [orders.internal.example]}")
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
	case !serviceName.MatchString(out.Name):
		p.Say(at(m["name"], n), fmt.Sprintf("name %q is no service", out.Name), serviceHint)
	case twice:
		p.Say(m["name"], fmt.Sprintf("service %q is there twice", out.Name), fmt.Sprintf("line %d has it; one service has one list of owners", line))
	default:
		lines[out.Name] = n.Line
	}
	for _, name := range p.scalars(m["names"], "names") {
		if host := hostname.Canonical(name.Value); !hostname.HasPort(name.Value) && hostname.Valid(host) && !hostname.IsIP(host) {
			out.Names = append(out.Names, host)
		} else {
			p.Say(name.node, fmt.Sprintf("names: %q is not a DNS name", name.Value), "a whole name of the server's certificate; nothing is a wildcard")
		}
	}
	out.Pins = p.pins(m["fingerprints"])
	if m["names"] == nil && m["fingerprints"] == nil {
		p.Say(n, fmt.Sprintf("nobody may serve %q", out.Name), "names: [orders.internal.example] of the server's certificate, or fingerprints")
	}
	return out
}

const serviceHint = "letters, digits and . _ - after the first, at most 128"

// pins reads fingerprints of certificates.
func (p *parser) pins(n *yaml.Node) []trust.Digest {
	var out []trust.Digest
	for _, pin := range p.scalars(n, "fingerprints") {
		d, err := trust.ParseDigest(pin.Value)
		if err != nil {
			p.Say(pin.node, fmt.Sprintf("fingerprints: %q is no SHA-256 fingerprint", pin.Value), "as openssl x509 -noout -fingerprint -sha256 prints it")
			continue
		}
		out = append(out, d)
	}
	return out
}

// tunnel reads to which services a port's requests go.
func (p *parser) tunnel(out *Port, m map[string]*yaml.Node) {
	n := m["tunnel"]
	if n == nil || out.Registration != nil { // reported by registration
		return
	}
	t := &Tunnel{Position: Position{n}, Hosts: map[string]string{}}
	out.Tunnel = t
	if m["forwarded"] != nil {
		// The certificate that goes through the tunnel is the connection's: here it would be the other gateway's.
		p.Say(n, "tunnel behind another gateway (forwarded): its certificate would be stated as the caller's", "a port of its own for each")
	}
	k := p.Map(n, "tunnel", "service", "services", "check")
	if n.Kind != yaml.MappingNode {
		return // reported by Map
	}
	service := func(n *yaml.Node, key string) string {
		name := p.Text(n, key)
		if n != nil && n.Kind == yaml.ScalarNode && !serviceName.MatchString(name) {
			p.Say(n, fmt.Sprintf("%s %q is no service", key, name), serviceHint)
		}
		return name
	}
	t.Service = service(k["service"], "service")
	if k["services"] != nil {
		p.hosts(t, k["services"], service)
	}
	if k["service"] == nil && k["services"] == nil {
		p.Say(n, "tunnel leads nowhere", "service: orders, or services: {api.acme.example: orders}")
	}
	switch v := p.Text(k["check"], "check"); {
	case k["check"] == nil || v == "policy":
	case v == "believed":
		t.VerifiedOnly = true
		for _, key := range notOfBelieved {
			if m[key] != nil {
				p.Say(m[key], key+" beside check: believed: nobody is mapped here", "leave it out; the server inside maps and decides")
			}
		}
	default:
		p.Say(k["check"], fmt.Sprintf("check is %q", v), "policy or believed")
	}
}

// hosts reads the service of each host. Its keys are host names, not keywords.
func (p *parser) hosts(t *Tunnel, n *yaml.Node, service func(*yaml.Node, string) string) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		p.Say(n, "services is not a mapping of hosts to services", "services: {api.acme.example: orders}")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		host := hostname.Canonical(key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || hostname.HasPort(key.Value) || !hostname.Valid(host):
			p.Say(key, fmt.Sprintf("services: %q is not a host name", key.Value), hostname.Hint)
		case t.Hosts[host] != "":
			p.Say(key, fmt.Sprintf("services has the host %q twice", host), "one service for each host; case does not count")
		default:
			t.Hosts[host] = service(value, "services")
		}
	}
}

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
			p.Say(r.node, "a second port takes registrations", fmt.Sprintf("the port in line %d does", registration.node.Line))
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
			p.Say(t.node, "tunnel, and no port takes registrations: there will be no tunnel", "another port with registration: true, that servers dial")
			continue
		}
		for _, service := range t.Services() {
			if registration.Registration.Services != nil && !served[service] {
				p.Say(t.node, fmt.Sprintf("nobody may serve %q", service), fmt.Sprintf("registration: {services: …} in line %d names who may", registration.Registration.node.Line))
			}
		}
	}
}

// Services returns the services that the port's requests can reach, sorted.
func (t *Tunnel) Services() []string {
	all := slices.Collect(maps.Values(t.Hosts))
	if t.Service != "" {
		all = append(all, t.Service)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" })
}

// Authorizes reports whether the policy decides about the requests of the port: neither a
// registration port nor one with check: believed.
func (p Port) Authorizes() bool {
	return p.Registration == nil && (p.Tunnel == nil || !p.Tunnel.VerifiedOnly)
}
