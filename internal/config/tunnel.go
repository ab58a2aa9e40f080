package config

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/configname"
	"github.com/mtlsguard/mtlsguard/internal/hostname"
)

// Tunnel is how the requests of a port reach servers that have registered.
type Tunnel struct {
	Position
	Service      string            // for hosts that Hosts does not list; may be empty
	Hosts        map[string]string // by host, in lower case
	VerifiedOnly bool              // check: believed. The gateway verifies certificates, and the inner server maps and decides
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
		p.Say(n, "tunnel and forwarded on one port: the tunnel would forward the gateway's certificate as the caller's", "use a port for each")
	}
	if m["upstream"] != nil {
		p.Say(m["upstream"], "tunnel and upstream on one port: a request has one way", "remove one of the two, or use a port for each")
	}
	k := p.Map(n, "tunnel", "service", "services", "check")
	if n.Kind != yaml.MappingNode {
		return // reported by Map
	}
	service := func(n *yaml.Node, key string) string {
		name := p.Text(n, key)
		if n != nil && n.Kind == yaml.ScalarNode && !configname.ValidService(name) {
			p.Say(n, fmt.Sprintf("%s: %q is not a service name", key, name), serviceHint)
		}
		return name
	}
	t.Service = service(k["service"], "service")
	if k["services"] != nil {
		p.hosts(t, k["services"], service)
	}
	if k["service"] == nil && k["services"] == nil {
		p.Say(n, "tunnel has no service", "add service: orders, or services: {api.acme.example: orders}")
	}
	switch v := p.Text(k["check"], "check"); {
	case k["check"] == nil || v == "policy":
	case v == "believed":
		t.VerifiedOnly = true
		for _, key := range notOfBelieved {
			if m[key] != nil {
				p.Say(m[key], key+" has no effect with check: believed, which maps no certificate", "remove it: the inner server maps and decides")
			}
		}
	default:
		p.Say(k["check"], fmt.Sprintf("check: %q is not a check", v), "use policy or believed")
	}
}

// hosts reads the service of each host. Its keys are host names, not keywords.
func (p *parser) hosts(t *Tunnel, n *yaml.Node, service func(*yaml.Node, string) string) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		p.Say(n, "services is not a mapping of hosts to services", "write services: {api.acme.example: orders}")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		host := hostname.Canonical(key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || hostname.HasPort(key.Value) || !hostname.Valid(host):
			p.Say(key, fmt.Sprintf("services: %q is not a host name", key.Value), hostname.HintFor(key.Value))
		case t.Hosts[host] != "":
			p.Say(key, fmt.Sprintf("services has the host %q twice", host), "use one service for each host; case does not count")
		default:
			t.Hosts[host] = service(value, "services")
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
