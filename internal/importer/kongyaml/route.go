package kongyaml

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// route is a route with what decides which requests it takes.
type route struct {
	at        importer.Place
	id, name  string
	service   *service
	serviceN  string
	methods   []string // nil: all
	paths     []string // nil: all
	hosts     []string
	byHost    int // the host of --host is among its hosts, which are taken away
	protocols []string
	headers   int
	more      []string // further conditions: their keys
	expressed bool     // by an expression: which requests it takes is not known
	filtered  bool     // by a WebAssembly filter
	plugins   []*plugin

	access
	line *importer.Line
}

// routeKeys are the keys of a route that do not decide which requests it takes. regex_priority
// orders routes with patterns, which come before all others.
var routeKeys = []string{
	"id", "name", "service", "methods", "paths", "hosts", "protocols", "headers", "plugins", "tags", "created_at", "updated_at", "strip_path", "preserve_host", "path_handling",
	"regex_priority", "https_redirect_status_code", "request_buffering", "response_buffering", "expression", "priority", "filter_chains", "ws_id",
}

// readRoute reads a route. s is the service that it is an element of, or nil.
func (c *config) readRoute(n *yaml.Node, s *service) {
	f := c.Fields(n, "an element of routes")
	r := &route{
		at: c.At(n), id: c.Text(f["id"], "id"), name: c.Text(f["name"], "name"), service: s, serviceN: c.Reference(f["service"], "service"),
		methods: c.Texts(f["methods"], "methods"), paths: c.Texts(f["paths"], "paths"), hosts: c.Texts(f["hosts"], "hosts"),
		protocols: c.Texts(f["protocols"], "protocols"), headers: len(c.Fields(f["headers"], "headers")), expressed: c.Follow(f["expression"]) != nil, filtered: c.Follow(f["filter_chains"]) != nil,
	}
	for key, value := range f {
		if value = c.Follow(value); value == nil || slices.Contains(routeKeys, key) || value.Kind != yaml.ScalarNode && len(value.Content) == 0 {
			continue
		}
		r.more = append(r.more, key) // snis, sources, destinations, and what newer versions have
	}
	if slices.ContainsFunc(r.methods, isUnresolved) {
		r.more = append(r.more, "methods")
	}
	slices.Sort(r.more)
	for _, child := range c.List(f["plugins"], "plugins") {
		c.readPlugin(child, plugin{route: r, service: nil})
	}
	c.routes = append(c.routes, r)
}

// title returns the route for the report.
func (r *route) title() string {
	parts := []string{"route"}
	if r.name != "" {
		parts = append(parts, r.name)
	}
	if r.methods != nil {
		parts = append(parts, strings.Join(r.methods, "|"))
	}
	return strings.Join(append(parts, r.paths...), " ")
}

// conditions returns what a request must have beside its method and path.
func (r *route) conditions() (out []string) {
	if len(r.hosts) > 0 {
		out = append(out, "hosts")
	}
	if r.headers > 0 {
		out = append(out, "headers")
	}
	if r.expressed {
		out = append(out, "expression")
	}
	return append(out, r.more...)
}

// isHTTP reports whether the route is not one of TCP, UDP or TLS alone.
func (r *route) isHTTP() bool {
	streams := []string{"tcp", "tls", "tls_passthrough", "udp"}
	return len(r.protocols) == 0 || slices.ContainsFunc(r.protocols, func(p string) bool { return !slices.Contains(streams, p) })
}

// onHost takes the hosts away if the server gets requests to one host alone. It returns false if
// the route gets none of them.
func (r *route) onHost(host string) bool {
	if host == "" || len(r.hosts) == 0 {
		return true
	}
	unknown := false
	for _, pattern := range r.hosts {
		before, after, wildcard := strings.Cut(importer.FoldASCII(pattern), "*")
		switch {
		case isUnresolved(pattern) || strings.Contains(pattern, ":"):
			unknown = true // on one port alone
		case !wildcard && before == host:
			r.hosts, r.byHost = nil, plainHost
			return true
		case wildcard && len(host) > len(before)+len(after) && strings.HasPrefix(host, before) && strings.HasSuffix(host, after):
			r.hosts, r.byHost = nil, wildcardHost
			return true
		}
	}
	return unknown
}

const (
	wildcardHost = 1 + iota
	plainHost
)

// methodBits are the methods that rules know.
var methodBits = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

const (
	bitGET     = 1
	bitHEAD    = 2
	allMethods = 1<<7 - 1
)

// bits returns the methods that rules know as a set, and the others.
func (r *route) bits() (set int, others []string) {
	if len(r.methods) == 0 || slices.Contains(r.more, "methods") {
		return allMethods, nil
	}
	for _, m := range r.methods {
		if i := slices.Index(methodBits, m); i >= 0 {
			set |= 1 << i
		} else {
			others = append(others, m)
		}
	}
	return set, others
}

// formatMethods returns a set as a rule writes it.
func formatMethods(set int, everyMethod string) string {
	if set == allMethods {
		return everyMethod
	}
	var out []string
	for i, m := range methodBits {
		if set&(1<<i) != 0 && !(m == "HEAD" && set&bitGET != 0) {
			out = append(out, m)
		}
	}
	return strings.Join(out, "|")
}

// String returns the route for messages.
func (r *route) String() string {
	if r.name != "" {
		return fmt.Sprintf("route %s", r.name)
	}
	return fmt.Sprintf("the route of line %d", r.at.Line)
}
