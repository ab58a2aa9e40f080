package kongyaml

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// access is whom a route lets in by a client certificate.
type access struct {
	kind  kind
	why   string    // for closed: why no user is let in here
	allow []string  // groups, of which one is enough; nil: every consumer
	deny  []string  // groups, of which none may be
	mtls  *mtlsAuth // of a route that is granted
}

type kind int

const (
	open    kind = iota // no plugin authenticates the caller
	granted             // consumers with a certificate, as far as allow and deny let them in
	closed              // not known here, or without users: never wider
)

// mtlsAuth is the configuration of the plugin mtls-auth.
type mtlsAuth struct {
	authorities []string // ids
	by          []string // username, custom_id: consumers are found by their own names too
}

// keys of the two plugins that change nothing about whom they let in, or are read.
var (
	mtlsKeys = []string{
		"ca_certificates", "consumer_by", "skip_consumer_lookup", "authenticated_group_by", "anonymous", "default_consumer", "revocation_check_mode", "cache_ttl", "cert_cache_ttl", "http_timeout",
		"http_proxy_host", "http_proxy_port", "https_proxy_host", "https_proxy_port", "send_ca_dn", "allow_partial_chain", "ssl_verify",
	}
	aclKeys = []string{"allow", "deny", "whitelist", "blacklist", "hide_groups_header", "always_use_authenticated_groups", "include_consumer_groups"}
)

// readAccess sets whom a route lets in.
func (c *config) readAccess(in *importer.Import, r *route) {
	plugins := c.inScope(r)
	mtls, acl := plugins["mtls-auth"], plugins["acl"]
	delete(plugins, "mtls-auth")
	delete(plugins, "acl")
	r.access = access{kind: granted}
	for _, name := range sorted(plugins) {
		p := plugins[name]
		switch {
		case p.odd == "" && slices.Contains(harmless, name):
			c.passedOver[name] = true
		case p.odd == "" && slices.Contains(logins, name) && c.Text(p.config["anonymous"], "anonymous") != "":
			in.Remark(fmt.Sprintf("%s is another way to log in, and is not carried", name))
		default:
			r.close(fmt.Sprintf("the plugin %s (line %d) may refuse a request too", name, p.at.Line))
		}
	}
	switch {
	case r.kind == closed:
	case r.filtered || r.service != nil && r.service.filtered:
		r.close("a filter may refuse a request too")
	case len(r.protocols) > 0 && !slices.Contains(r.protocols, "https"):
		r.close("its protocols are " + strings.Join(r.protocols, ", ") + ", and clients have a certificate over https alone")
	case mtls == nil && acl == nil && !slices.ContainsFunc(logins, func(name string) bool { return plugins[name] != nil }):
		r.kind = open
	case mtls == nil:
		r.close("no plugin mtls-auth identifies its callers")
	default:
		c.readMTLS(in, r, mtls)
		if acl != nil {
			c.readACL(r, acl)
		}
	}
}

// close allows no one, with the first reason.
func (a *access) close(why string) {
	if a.kind != closed {
		*a = access{kind: closed, why: why}
	}
}

func (c *config) readMTLS(in *importer.Import, r *route, p *plugin) {
	r.mtls = &mtlsAuth{by: []string{"username", "custom_id"}}
	c.File = p.at.File
	if n, ok := p.config["consumer_by"]; ok {
		r.mtls.by = c.Texts(n, "consumer_by")
	}
	r.mtls.authorities = c.Texts(p.config["ca_certificates"], "ca_certificates")
	switch unknown := c.unknown(p, mtlsKeys); {
	case p.odd != "":
		r.close("of its plugin mtls-auth, " + p.odd + " is not understood")
	case unknown != "":
		r.close(fmt.Sprintf("its plugin mtls-auth has the key %s, which Kong's own has not", unknown))
	case c.Bool(p.config["skip_consumer_lookup"], "skip_consumer_lookup", false):
		r.close("skip_consumer_lookup: every certificate of its authorities is let in, without a consumer")
	}
	for _, key := range []string{"anonymous", "default_consumer"} {
		if who := c.Text(p.config[key], key); who != "" {
			in.Line(p.at, "plugin mtls-auth").Skip(fmt.Sprintf("%s: requests without a consumer are those of %s there, and are refused here", key, escape.Quote(who, escape.Short)), "rules for user:Default and strict: false, or unmapped: NAME, on the port, if that is meant")
		}
	}
	if mode := c.Text(p.config["revocation_check_mode"], "revocation_check_mode"); mode != "SKIP" {
		in.Remark("revocation is not carried: Kong checks OCSP and CRLs unless revocation_check_mode is SKIP; here crls and ocsp in the trust of the port set it")
	}
}

func (c *config) readACL(r *route, p *plugin) {
	c.File = p.at.File
	allow := append(c.Texts(p.config["allow"], "allow"), c.Texts(p.config["whitelist"], "whitelist")...)
	deny := append(c.Texts(p.config["deny"], "deny"), c.Texts(p.config["blacklist"], "blacklist")...)
	unknown := c.unknown(p, aclKeys)
	for _, key := range []string{"always_use_authenticated_groups", "include_consumer_groups"} {
		if c.Bool(p.config[key], key, false) {
			unknown = key
		}
	}
	switch {
	case p.odd != "":
		r.close("of its plugin acl, " + p.odd + " is not understood")
	case unknown != "":
		r.close("its plugin acl has " + unknown)
	case len(allow)+len(deny) == 0:
		r.close("its plugin acl has no groups, and lets no user in")
	case slices.ContainsFunc(append(allow, deny...), isUnresolved):
		r.close("a group of its plugin acl is not in the file")
	}
	if r.kind == granted {
		r.allow, r.deny = allow, deny
	}
}

// unknown returns a key of a plugin that is not among the known ones, or "".
func (c *config) unknown(p *plugin, known []string) string {
	for _, key := range sorted(p.config) {
		if n := c.Follow(p.config[key]); n != nil && !slices.Contains(known, key) {
			return key
		}
	}
	return ""
}

// lets reports whether a route lets a consumer in.
func (a *access) lets(one *consumer) bool {
	switch {
	case a.kind == open:
		return true
	case a.kind == closed || slices.ContainsFunc(one.members, func(m *membership) bool { return slices.Contains(a.deny, m.group) }):
		return false
	}
	return a.allow == nil || slices.ContainsFunc(one.members, func(m *membership) bool { return slices.Contains(a.allow, m.group) })
}
