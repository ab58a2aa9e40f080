package config

import (
	"fmt"
	"math"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/internal/method"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

var trustKeys = []string{"anchors", "profile", "crls", "revocation", "fetch", "ocsp", "must_be_revoked", "max_leaf_lifetime", "max_depth", "crl_issuers"}

func (p *parser) trust(n *yaml.Node) *Trust {
	before := p.Wrong.Len()
	out := p.trustOf(n, p.Map(n, "trust", trustKeys...))
	out.Invalid = p.Wrong.Len() > before
	return out
}

// trustOf reads the keys of a trust.
func (p *parser) trustOf(n *yaml.Node, m map[string]*yaml.Node) *Trust {
	before := p.Wrong.Len()
	out := &Trust{
		Position: Position{n}, Anchors: p.scalars(m["anchors"], "anchors"), CRLs: p.scalars(m["crls"], "crls"),
		MustBeRevoked: p.scalars(m["must_be_revoked"], "must_be_revoked"), CRLIssuers: p.scalars(m["crl_issuers"], "crl_issuers"),
		MaxLeafLifetime: p.duration(m["max_leaf_lifetime"], "max_leaf_lifetime", 0, 0), MaxDepth: p.count(m["max_depth"], "max_depth", 0),
	}
	p.online(out, m)
	if len(out.Anchors) == 0 {
		p.Say(at(m["anchors"], n), "trust has no anchors", "anchors: [FILE] with the CA of your clients; the system's are never used")
	}
	switch v := p.Text(m["profile"], "profile"); v {
	case "", "strict":
		out.Profile = trust.Strict
	case "compatible":
		out.Profile = trust.Compatible
	default:
		p.Say(m["profile"], fmt.Sprintf("profile is %q", v), "strict or compatible")
	}
	switch v := p.Text(m["revocation"], "revocation"); v {
	case "":
		out.Revocation = trust.RevocationAuto
	case "off":
		out.Revocation = trust.RevocationOff
	case "soft":
		out.Revocation = trust.RevocationSoft
	case "hard":
		out.Revocation = trust.RevocationHard
		if len(out.CRLs) == 0 && m["ocsp"] == nil {
			p.Say(m["revocation"], "revocation is hard and there are no crls: everyone would be refused", "crls: [FILE], or revocation: off")
			out.Revocation = trust.RevocationOff // reported
		}
	default:
		p.Say(m["revocation"], fmt.Sprintf("revocation is %q", v), "off, soft or hard")
	}
	out.Invalid = p.Wrong.Len() > before
	return out
}

// online reads the sources of revocation on the network.
func (p *parser) online(out *Trust, m map[string]*yaml.Node) {
	if m["fetch"] != nil {
		for _, n := range p.List(m["fetch"], "fetch") {
			f := p.Map(n, "fetch", "url", "file", "issuer", "max_bytes")
			one := Fetch{Position: Position{n}, URL: p.Text(f["url"], "url"), File: p.Text(f["file"], "file"), Issuer: p.scalar(f["issuer"], "issuer")}
			one.MaxBytes = p.Int(f["max_bytes"], "max_bytes", minFetch, crlfetch.DefaultMaxBytes)
			if err := (crlfetch.Source{URL: one.URL}).CheckURL(); err != nil {
				p.Say(at(f["url"], n), fmt.Sprintf("url %q cannot be fetched: %s", one.URL, err), "url: https://HOST/PATH of the CRL")
			}
			if !slices.ContainsFunc(out.CRLs, func(c Scalar) bool { return c.Value == one.File }) {
				p.Say(at(f["file"], n), fmt.Sprintf("file %q is none of the crls", one.File), "fetch renews a file that crls names")
			}
			p.fetched[one.File] = one
			out.Fetch = append(out.Fetch, one)
		}
	}
	if m["ocsp"] == nil {
		return
	}
	o := p.Map(m["ocsp"], "ocsp", "url", "timeout", "nonce")
	if m["ocsp"].Kind != yaml.MappingNode {
		return // reported by Map
	}
	config := ocsp.Config{
		URL: p.Text(o["url"], "url"), Timeout: p.duration(o["timeout"], "timeout", time.Millisecond, 0), Nonce: p.Bool(o["nonce"], "nonce", false),
	}
	if _, err := ocsp.New(config); err != nil {
		for _, wrong := range configerror.All(err) {
			p.Say(m["ocsp"], "ocsp: "+wrong.What, wrong.Hint)
		}
		return
	}
	out.OCSP = &config
}

// callers reads the settings of the guard.
func (p *parser) callers(out *Port, m map[string]*yaml.Node) {
	out.Strict = p.Bool(m["strict"], "strict", true)
	out.Unmapped = p.Text(m["unmapped"], "unmapped")
	switch {
	case out.Unmapped == identity.Default && out.Strict:
		p.Say(m["unmapped"], "unmapped is Default, and strict is on", "name a user, or say strict: false")
	case out.Unmapped != "" && out.Unmapped != identity.Default && !username.IsUser(out.Unmapped):
		p.Say(m["unmapped"], fmt.Sprintf("unmapped %q is no user name", out.Unmapped),
			username.Hint+"; "+username.ReservedHint)
	}
	for _, one := range p.scalars(m["methods"], "methods") {
		if !method.Valid(one.Value) {
			p.Say(one.node, fmt.Sprintf("methods: %q is no method", one.Value), "an upper-case word such as PROPFIND")
			continue
		}
		out.Methods = append(out.Methods, one.Value)
	}
	for _, host := range p.scalars(m["server_names"], "server_names") {
		if hostname.HasPort(host.Value) || !hostname.Valid(hostname.Canonical(host.Value)) {
			p.Say(host.node, fmt.Sprintf("server_names: %q is not a host name", host.Value), hostname.Hint)
			continue
		}
		out.ServerNames = append(out.ServerNames, host.Value)
	}
}

// Upper bounds of limits. Beyond them sums and conversions in lower layers would overflow.
const (
	maxTime  = 10 * 365 * 24 * time.Hour
	maxCount = math.MaxInt32 / 2
)

func (p *parser) limits(n *yaml.Node) ports.Limits {
	var l ports.Limits
	if n == nil {
		return l
	}
	m := p.Map(n, "limits", "handshake", "handshakes", "connections", "connections_per_ip", "header_bytes", "headers", "idle",
		"request", "streams", "connection_age", "drain")
	const least = time.Millisecond
	l.Handshake = p.duration(m["handshake"], "handshake", least, 0)
	l.Handshakes = p.count(m["handshakes"], "handshakes", 1)
	l.Connections = p.count(m["connections"], "connections", 1)
	l.PerIP = p.count(m["connections_per_ip"], "connections_per_ip", 1)
	l.HeaderBytes = p.count(m["header_bytes"], "header_bytes", 4096)
	l.Headers = p.duration(m["headers"], "headers", least, 0)
	l.Idle = p.duration(m["idle"], "idle", least, 0)
	l.Request = p.duration(m["request"], "request", 0, 0)
	l.Streams = p.count(m["streams"], "streams", 1)
	l.ConnectionAge = p.duration(m["connection_age"], "connection_age", 0, 0)
	if m["connection_age"] != nil && l.ConnectionAge == 0 {
		l.ConnectionAge = -1 // 0 in the file: connections have no maximum age
	}
	l.Drain = p.duration(m["drain"], "drain", least, 0)
	return l
}

func (p *parser) duration(n *yaml.Node, name string, least, otherwise time.Duration) time.Duration {
	d := p.Duration(n, name, least, otherwise)
	if d > maxTime {
		p.Say(n, fmt.Sprintf("%s is %s", name, d), fmt.Sprintf("at most %s", maxTime))
	}
	return d
}

func (p *parser) count(n *yaml.Node, name string, least int) int {
	v := p.Int(n, name, least, 0)
	if v > maxCount {
		p.Say(n, fmt.Sprintf("%s is %d", name, v), fmt.Sprintf("at most %d", maxCount))
	}
	return v
}
