package site

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
)

// port checks one port.
func (x *linter) port(p config.Port, index int) {
	at := x.atPort(p)
	x.perIP(p, at)
	x.addresses(p, at)
	if !p.Authorizes() {
		x.endings(p, index)
		return
	}
	decides := x.o.Program.Policy == nil // the rules are known
	if decides || p.Strict {
		x.open(p, at)
	} else {
		x.report("ports", at, fmt.Sprintf("port %s is open to Default, and Options.Policy decides what anyone may do there without a certificate", p.Name), "set strict: true, unless this is intended")
	}
	if p.Unmapped != "" && p.Unmapped != identity.Default {
		x.report("ports", at, fmt.Sprintf("on port %s every verified certificate without a mapping is user %s", p.Name, p.Unmapped), "add a mapping for each certificate, and remove unmapped")
	}
	if decides && !slices.ContainsFunc(x.rules, func(r policy.Rule) bool { return r.Effect == policy.Allow && (r.Port == "*" || r.Port == p.Name) }) {
		x.report("ports", at, fmt.Sprintf("no rule allows anything on port %s", p.Name), "p, SUBJECT, "+p.Name+", GET, /PATH, allow")
	}
	x.endings(p, index)
}

// fewPerIP is a number of connections that a busy gateway exceeds.
const fewPerIP = 1000

// perIP reports a limit of connections that a gateway reaches, which has one address for
// all of its callers.
func (x *linter) perIP(p config.Port, at configerror.Error) {
	l := p.Limits
	if p.BehindGateways() && l.PerIP < fewPerIP && (l.Connections == 0 || l.PerIP < l.Connections) {
		x.report("ports", at, fmt.Sprintf("port %s has gateways, and connections_per_ip is %d: a gateway is one address, and its next connections are closed", p.Name, l.PerIP),
			"remove connections_per_ip: on this port it is then as large as connections")
	}
}

// addresses reports ranges of allow that have no effect, and proxies that may have any address.
func (x *linter) addresses(p config.Port, at configerror.Error) {
	for _, from := range p.ProxyFrom {
		if from.Bits() == 0 {
			x.report("ports", at, fmt.Sprintf("port %s takes PROXY headers from every address: a client that reaches the port can claim any address", p.Name), "list the addresses of your proxies in proxy_protocol")
		}
	}
	for _, allowed := range p.Addresses.Allow {
		for _, denied := range p.Addresses.Deny {
			if denied.Bits() <= allowed.Bits() && denied.Contains(allowed.Addr()) {
				x.report("ports", at, fmt.Sprintf("port %s allows %s and denies %s: deny wins, and no address of the range is accepted", p.Name, allowed, denied), "remove one of the two ranges of addresses")
			}
		}
	}
}

// endings reports certificates and CRLs of a port that end.
func (x *linter) endings(p config.Port, index int) {
	for _, e := range x.g.endings {
		if e.port != index {
			continue
		}
		at := x.atPort(p)
		switch {
		case e.about == "ports":
			at = p.Cert.In(x.path)
		case e.about == "upstream":
			at = p.Upstream.Cert.In(x.path)
		case p.Trust != nil:
			at.Line = p.Trust.Line()
		}
		life := span{e.end, e.end.Sub(e.start) / 5}
		if e.aging != "" {
			life = crlSpan(e.start, e.end)
		}
		switch {
		case x.now.After(e.end):
			x.report(e.about, at, e.expired(), e.hint)
		case e.fetched && x.now.Add(life.soon).Before(e.end): // it will be replaced before
		default:
			x.ends(e.about, at, e.what, life, e.hint)
		}
	}
}

// open reports what a port allows without a certificate.
func (x *linter) open(p config.Port, at configerror.Error) {
	switch {
	case p.Strict && p.ClientAuth == ports.None:
		x.report("ports", at, fmt.Sprintf("port %s requests no certificate and is strict: every request is refused, unless the program has an authenticator", p.Name), "set client_cert: request, or strict: false")
	case p.Strict:
	case !x.hasGrant(identity.Default):
		x.report("ports", at, fmt.Sprintf("port %s is open to Default, and no rule allows Default anything", p.Name), "set strict: true, which has the same effect")
	default:
		var by []string
		for _, r := range x.rules {
			if (r.Port == "*" || r.Port == p.Name) && x.isOpen(r) {
				by = append(by, fmt.Sprintf("%s %s (%s)", r.Method, r.Path, policy.Position{File: r.File, Line: r.Line}))
			}
		}
		if len(by) > 0 {
			x.report("ports", at, fmt.Sprintf("port %s is open to Default: without a certificate anyone may %s", p.Name, strings.Join(by, ", ")), "set strict: true, unless this is intended")
		}
	}
}

// isOpen reports whether a rule allows Default something. A path with {user} never
// matches Default.
func (x *linter) isOpen(r policy.Rule) bool {
	if r.Effect != policy.Allow || strings.Contains(r.Path, username.Variable) {
		return false
	}
	if group, ok := strings.CutPrefix(r.Subject, "group:"); ok {
		return slices.Contains(x.g.Engine.Groups(identity.Default), group)
	}
	return r.Subject == "user:"+identity.Default
}

// gateways reports CAs that issue for gateways and for users.
func (x *linter) gateways() {
	for i := range x.g.Ports {
		g := &x.g.Ports[i]
		if g.Guard.Forwarded == nil {
			continue
		}
		gateway := g.Guard.Forwarded.GatewayTrust()
		at := x.atPort(x.file.Ports[i])
		for j := range x.g.Ports {
			u := &x.g.Ports[j]
			name := x.file.Ports[j].Name
			users := u.CallersTrust()
			if users != nil && trustaccess.SharesAnchor(gateway, users) {
				x.report("trust", at, fmt.Sprintf("the authority of port %s's gateways also issues for the users of port %s: a user may get a certificate that makes it a gateway", x.file.Ports[i].Name, name),
					"use a CA that issues for gateways only, or fingerprints instead of names")
			}
		}
	}
}
