package mtlsguard

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

// registrationFile is what a port says that servers dial, to serve through it.
type registrationFile struct {
	position
	services []serviceFile // nil: a server may serve what its certificate names
	upgrades []string
	share    int  // percent of a service's places that one caller may hold alone; 0: the default
	byName   bool // somebody may serve by a name in a certificate, not by a fingerprint alone
}

// serviceFile is who may serve a service.
type serviceFile struct {
	name  string
	pins  []trust.Digest
	names []string // DNS names, in lower case
}

// tunnelFile is what a port says whose requests go to servers that have registered.
type tunnelFile struct {
	position
	service  string            // of the hosts that hosts does not name; may be empty
	hosts    map[string]string // the service of a host, which is in lower case
	believed bool              // check: believed
}

var (
	serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
)

// What cannot be said of a port where nobody comes as a user, and why.
var (
	notOfRegistrations = []string{"strict", "unmapped", "methods", "server_names", "forwarded", "tunnel"}
	notOfBelieved      = []string{"unmapped", "methods"}
)

// registration reads who may serve through a port. The port's mode and certificates
// are read already.
func (p *parser) registration(out *portFile, m map[string]*yaml.Node) {
	n := m["registration"]
	if n == nil {
		return
	}
	r := &registrationFile{position: position{n}, byName: true}
	out.registration = r
	for _, key := range notOfRegistrations {
		if m[key] != nil {
			p.Say(m[key], key+" on a port that takes registrations: no user comes by it", "leave it out, or open another port for callers")
		}
	}
	if out.clientCert != ports.Require && m["client_cert"] != nil {
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
	for _, u := range p.nameds(k["upgrades"], "upgrades") {
		if !serviceName.MatchString(u.name) {
			p.Say(u.node, fmt.Sprintf("upgrades: %q is no protocol", u.name), "upgrades: [websocket]")
		}
		r.upgrades = append(r.upgrades, u.name)
	}
	if r.share = p.Int(k["caller_share"], "caller_share", 1, 0); r.share > 100 {
		p.Say(k["caller_share"], fmt.Sprintf("caller_share is %d", r.share), "a percentage, 1 to 100")
	}
	if k["services"] == nil {
		return
	}
	r.byName = false
	nodes := p.List(k["services"], "services")
	if len(nodes) == 0 && k["services"].Kind == yaml.SequenceNode {
		p.Say(k["services"], "services names none: nobody could serve", "{name: orders, names: [orders.internal.example]}")
	}
	lines := map[string]int{}
	for _, one := range nodes {
		r.services = append(r.services, p.service(one, lines))
		r.byName = r.byName || len(r.services[len(r.services)-1].names) > 0
	}
}

// service reads who may serve one service. Nobody else may: else a server could take
// the requests for another.
func (p *parser) service(n *yaml.Node, lines map[string]int) serviceFile {
	m := p.Map(n, "the service", "name", "names", "fingerprints")
	out := serviceFile{name: p.Text(m["name"], "name")}
	switch line, twice := lines[out.name]; {
	case n.Kind != yaml.MappingNode:
		return out // told by Map
	case !serviceName.MatchString(out.name):
		p.Say(at(m["name"], n), fmt.Sprintf("name %q is no service", out.name), serviceHint)
	case twice:
		p.Say(m["name"], fmt.Sprintf("service %q is there twice", out.name), fmt.Sprintf("line %d has it; one service has one list of owners", line))
	default:
		lines[out.name] = n.Line
	}
	for _, name := range p.nameds(m["names"], "names") {
		if host := hostname.Canonical(name.name); !hostname.HasPort(name.name) && hostname.Valid(host) && !hostname.IsIP(host) {
			out.names = append(out.names, host)
		} else {
			p.Say(name.node, fmt.Sprintf("names: %q is not a DNS name", name.name), "a whole name of the server's certificate; nothing is a wildcard")
		}
	}
	out.pins = p.pins(m["fingerprints"])
	if m["names"] == nil && m["fingerprints"] == nil {
		p.Say(n, fmt.Sprintf("nobody may serve %q", out.name), "names: [orders.internal.example] of the server's certificate, or fingerprints")
	}
	return out
}

const serviceHint = "letters, digits and . _ - after the first, at most 128"

// pins reads fingerprints of certificates.
func (p *parser) pins(n *yaml.Node) []trust.Digest {
	var out []trust.Digest
	for _, pin := range p.nameds(n, "fingerprints") {
		d, err := trust.ParseDigest(pin.name)
		if err != nil {
			p.Say(pin.node, fmt.Sprintf("fingerprints: %q is no SHA-256 fingerprint", pin.name), "as openssl x509 -noout -fingerprint -sha256 prints it")
			continue
		}
		out = append(out, d)
	}
	return out
}

// tunnel reads to whom a port's requests go.
func (p *parser) tunnel(out *portFile, m map[string]*yaml.Node) {
	n := m["tunnel"]
	if n == nil || out.registration != nil { // told by registration
		return
	}
	t := &tunnelFile{position: position{n}, hosts: map[string]string{}}
	out.tunnel = t
	if m["forwarded"] != nil {
		// The certificate that goes through the tunnel is the connection's: here it would be the other gateway's.
		p.Say(n, "tunnel behind another gateway (forwarded): its certificate would be stated as the caller's", "a port of its own for each")
	}
	k := p.Map(n, "tunnel", "service", "services", "check")
	if n.Kind != yaml.MappingNode {
		return // told by Map
	}
	service := func(n *yaml.Node, key string) string {
		name := p.Text(n, key)
		if n != nil && n.Kind == yaml.ScalarNode && !serviceName.MatchString(name) {
			p.Say(n, fmt.Sprintf("%s %q is no service", key, name), serviceHint)
		}
		return name
	}
	t.service = service(k["service"], "service")
	if k["services"] != nil {
		p.hosts(t, k["services"], service)
	}
	if k["service"] == nil && k["services"] == nil {
		p.Say(n, "tunnel leads nowhere", "service: orders, or services: {api.acme.example: orders}")
	}
	switch v := p.Text(k["check"], "check"); {
	case k["check"] == nil || v == "policy":
	case v == "believed":
		t.believed = true
		for _, key := range notOfBelieved {
			if m[key] != nil {
				p.Say(m[key], key+" beside check: believed: nobody is mapped here", "leave it out; the server inside maps and decides")
			}
		}
	default:
		p.Say(k["check"], fmt.Sprintf("check is %q", v), "policy or believed")
	}
}

// hosts reads the service of each host. Its keys are the caller's own words.
func (p *parser) hosts(t *tunnelFile, n *yaml.Node, service func(*yaml.Node, string) string) {
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
		case t.hosts[host] != "":
			p.Say(key, fmt.Sprintf("services has the host %q twice", host), "one service for each host; case does not count")
		default:
			t.hosts[host] = service(value, "services")
		}
	}
}

// roles checks what several ports must agree about.
func (p *parser) roles(f *file) {
	var registration *portFile
	served := map[string]bool{}
	for i := range f.ports {
		r := f.ports[i].registration
		switch {
		case r == nil:
			continue
		case registration != nil:
			p.Say(r.node, "a second port takes registrations", fmt.Sprintf("the port in line %d does", registration.node.Line))
			continue
		}
		registration = &f.ports[i]
		for _, s := range r.services {
			served[s.name] = true
		}
	}
	for i := range f.ports {
		t := f.ports[i].tunnel
		if t == nil {
			continue
		}
		if registration == nil {
			p.Say(t.node, "tunnel, and no port takes registrations: there will be no tunnel", "another port with registration: true, that servers dial")
			continue
		}
		for _, service := range t.services() {
			if registration.registration.services != nil && !served[service] {
				p.Say(t.node, fmt.Sprintf("nobody may serve %q", service), fmt.Sprintf("registration: {services: …} in line %d names who may", registration.registration.node.Line))
			}
		}
	}
}

// services are those that a port's requests go to, sorted.
func (t *tunnelFile) services() []string {
	all := slices.Collect(maps.Values(t.hosts))
	if t.service != "" {
		all = append(all, t.service)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "" })
}

// decides reports whether users come by a port, and the policy decides about them.
func (p portFile) decides() bool {
	return p.registration == nil && (p.tunnel == nil || !p.tunnel.believed)
}
