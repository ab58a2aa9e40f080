package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/token"
)

// Page is what the server itself answers on one of its ports.
type Page struct {
	Position
	Port string
	Path string // "" is every path that no other page of the port has
}

// Admin is the block admin.
type Admin struct {
	Page
	Title string
	Edit  bool
}

// Tokens is the block tokens: where the keys of signed headers are published.
type Tokens struct {
	Page
	Key Scalar // empty: the server makes one when it starts
}

const defaultMetricsPath = "/metrics"

// pages reads the blocks that name a port for what the server itself answers. The ports must
// have been read.
func (p *parser) pages(f *File, m map[string]*yaml.Node) {
	if n := m["admin"]; n != nil {
		k := p.Map(n, "admin", "port", "title", "edit")
		f.Admin = &Admin{Page: p.page(f, n, k["port"], "admin"), Title: p.Text(k["title"], "title"), Edit: p.Bool(k["edit"], "edit", false)}
	}
	if n := m["metrics"]; n != nil {
		k := p.Map(n, "metrics", "port", "path")
		page := p.page(f, n, k["port"], "metrics")
		if page.Path = defaultMetricsPath; k["path"] != nil {
			page.Path = p.pagePath(k["path"])
		}
		f.Metrics = &page
	}
	p.tokens(f, m["tokens"])
}

// tokens reads the block tokens. It belongs to the upstreams whose headers are signed.
func (p *parser) tokens(f *File, n *yaml.Node) {
	if n != nil {
		k := p.Map(n, "tokens", "port", "key")
		f.Tokens = &Tokens{Page: p.page(f, n, k["port"], "tokens"), Key: p.scalar(k["key"], "key")}
	}
	signed := false
	for _, port := range f.AllPorts() {
		if port.Upstream == nil || port.Upstream.Headers.Signed == "" {
			continue
		}
		if signed = true; n == nil {
			p.Say(port.Upstream.node, "headers: signed needs tokens: no service could get the key to verify with", "add tokens: {port: NAME} with the port that publishes the keys")
		}
	}
	if n != nil && n.Kind == yaml.MappingNode && !signed {
		p.Say(n, "tokens has no effect: no upstream has headers: {signed: …}", "add it to an upstream, or remove tokens")
	}
}

// page reads the name of the port of a block, and rejects one whose requests go elsewhere.
func (p *parser) page(f *File, block, n *yaml.Node, key string) Page {
	out := Page{Position: Position{block}, Port: p.Text(n, "port")}
	if block.Kind != yaml.MappingNode {
		return out // reported by Map
	}
	if n == nil {
		p.Say(block, key+" has no port", "add port: NAME with the name of a port of its own")
		return out
	}
	i := slices.IndexFunc(f.Ports, func(one Port) bool { return one.Name == out.Port })
	if i < 0 {
		if out.Port != "" { // else reported by Text
			p.Say(n, fmt.Sprintf("%s: %q is not a port", key, out.Port), "write the name of one of ports")
		}
		return out
	}
	one := f.Ports[i]
	for _, other := range []struct {
		has bool
		key string
	}{{one.Upstream != nil, "upstream"}, {one.Decision != nil, "answer"}, {one.Tunnel != nil, "tunnel"}, {one.Registration != nil, "registration"}} {
		if other.has {
			p.Say(n, fmt.Sprintf("%s: port %q has %s, and would answer its requests itself", key, out.Port, other.key), "use a port of its own")
		}
	}
	return out
}

// pagePath reads the path of a page.
func (p *parser) pagePath(n *yaml.Node) string {
	path := p.Text(n, "path")
	if !isPath(path) || path == "/" || strings.ContainsAny(path, "?%") || strings.HasSuffix(path, "/") {
		p.Say(n, fmt.Sprintf("path: %q is not the path of a page", path), "write a path such as "+defaultMetricsPath)
	}
	if path == token.Path {
		p.Say(n, fmt.Sprintf("path: %q is that of the keys of tokens", path), "write a path such as "+defaultMetricsPath)
	}
	return path
}

// Pages returns the pages of the file.
func (f *File) Pages() []Page {
	var out []Page
	if f.Admin != nil {
		out = append(out, f.Admin.Page)
	}
	if f.Metrics != nil {
		out = append(out, *f.Metrics)
	}
	if f.Tokens != nil {
		out = append(out, f.Tokens.Page)
	}
	return out
}
