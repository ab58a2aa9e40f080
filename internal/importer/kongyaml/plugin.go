package kongyaml

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// plugin is a plugin in its scope.
type plugin struct {
	at       importer.Place
	name     string
	enabled  bool
	service  *service
	route    *route
	consumer *consumer
	groupN   string // a consumer group
	config   map[string]*yaml.Node
	odd      string // what is not understood of it, or ""

	serviceN, routeN, consumerN string
}

// harmless are plugins that decide nothing about who may call.
var harmless = []string{
	"acme", "correlation-id", "cors", "datadog", "file-log", "grpc-gateway", "grpc-web", "http-log", "kafka-log", "loggly", "opentelemetry", "prometheus", "proxy-cache", "proxy-cache-advanced",
	"rate-limiting", "rate-limiting-advanced", "request-size-limiting", "request-transformer", "request-transformer-advanced", "response-ratelimiting", "response-transformer",
	"response-transformer-advanced", "service-protection", "statsd", "statsd-advanced", "syslog", "tcp-log", "udp-log", "zipkin",
}

// logins are plugins that pass a request over which another plugin has found a consumer for, if
// they have a consumer for anonymous requests. mtls-auth comes before them.
var logins = []string{"basic-auth", "hmac-auth", "jwt", "key-auth", "ldap-auth", "oauth2"}

// pluginKeys are the keys of a plugin that change nothing about when it runs.
var pluginKeys = []string{"id", "name", "instance_name", "enabled", "config", "protocols", "tags", "created_at", "updated_at", "service", "route", "consumer", "consumer_group", "run_on", "partials"}

// readPlugin reads a plugin. scope has what it is an element of.
func (c *config) readPlugin(n *yaml.Node, scope plugin) {
	f := c.Fields(n, "an element of plugins")
	p := scope
	p.at, p.name, p.enabled, p.config = c.At(n), c.Text(f["name"], "name"), c.Bool(f["enabled"], "enabled", true), c.Fields(f["config"], "config")
	p.serviceN, p.routeN, p.consumerN = c.Reference(f["service"], "service"), c.Reference(f["route"], "route"), c.Reference(f["consumer"], "consumer")
	if group := c.Reference(f["consumer_group"], "consumer_group"); group != "" {
		p.groupN = group
	}
	for key, value := range f {
		if !slices.Contains(pluginKeys, key) && c.Follow(value) != nil {
			p.odd = "its key " + key
		}
	}
	if protocols := c.Texts(f["protocols"], "protocols"); len(protocols) > 0 && !slices.Contains(protocols, "https") {
		p.odd = "its protocols without https"
	}
	c.plugins = append(c.plugins, &p)
}

// attachPlugins gives each route and each service their plugins, and marks the consumers that a
// plugin may refuse.
func (c *config) attachPlugins() {
	for _, p := range c.plugins {
		if !p.enabled {
			continue
		}
		switch {
		case p.consumer != nil && !slices.Contains(harmless, p.name):
			p.consumer.refused = p.name
		case p.groupN != "" && !slices.Contains(harmless, p.name):
			c.refuseGroup(p)
		case p.consumer != nil || p.groupN != "":
		case p.route != nil:
			p.route.plugins = append(p.route.plugins, p)
		case p.service != nil:
			p.service.plugins = append(p.service.plugins, p)
		default:
			c.global = append(c.global, p)
		}
	}
}

// refuseGroup marks the consumers of a consumer group.
func (c *config) refuseGroup(p *plugin) {
	aliases := []string{p.groupN}
	for _, g := range c.groups {
		if g.id == p.groupN || g.name == p.groupN {
			aliases = append(aliases, g.id, g.name)
		}
	}
	for _, one := range c.consumers {
		if slices.ContainsFunc(one.groups, func(g string) bool { return g != "" && slices.Contains(aliases, g) }) {
			one.refused = p.name
		}
	}
}

// inScope returns the plugins of a route by their names, of each name the one that Kong runs:
// that of the route, or of the service, or the global one. Two of one scope are odd.
func (c *config) inScope(r *route) map[string]*plugin {
	out := map[string]*plugin{}
	scopes := [][]*plugin{c.global, nil, r.plugins}
	if r.service != nil {
		scopes[1] = r.service.plugins
	}
	for _, scope := range scopes {
		for _, p := range scope {
			if p.service != nil && p.service != r.service {
				continue // for this route of another service: it never runs
			}
			one := *p
			if before := out[p.name]; before != nil && before.rank() == p.rank() {
				one.odd = "that there are two"
			}
			if before := out[p.name]; before == nil || before.rank() <= p.rank() {
				out[p.name] = &one
			}
		}
	}
	return out
}

// rank orders plugins of one name: the most specific one runs.
func (p *plugin) rank() (rank int) {
	if p.route != nil {
		rank += 2
	}
	if p.service != nil {
		rank++
	}
	return rank
}
