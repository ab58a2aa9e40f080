package config

import (
	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Forwarded is how a port receives forwarded certificates, and from which gateways.
type Forwarded struct {
	Position
	Topology forwarded.Topology
	Pins     []trust.Digest
	Names    []string
	Gateway  *Trust // verifies gateways; nil: the port's own Trust does
	Users    *Trust // verifies forwarded certificates
	ClientIP forwarded.ClientIP
	Invalid  bool // it has errors, all of them reported
}

// forwarded reads how gateways forward certificates. The port's mode and trust must have
// been read.
func (p *parser) forwarded(out *Port, n *yaml.Node) {
	if n == nil {
		return
	}
	before := p.Wrong.Len()
	m := p.Map(n, "forwarded", "format", "gateway", "trust", "header", "verified", "client_ip", "hops")
	f := &Forwarded{Position: Position{n}}
	out.Forwarded = f
	if n.Kind != yaml.MappingNode {
		f.Invalid = true
		return // reported by Map
	}
	if out.ClientAuth == ports.None {
		p.Say(n, "forwarded needs a client certificate of the gateway: without one, any client could forward a certificate", "set client_cert: require, and give the gateway a certificate")
	}
	p.topology(f, n, m)
	f.ClientIP = forwarded.ClientIP{Header: p.Text(m["client_ip"], "client_ip"), Hops: p.count(m["hops"], "hops", 1)}
	if m["trust"] != nil {
		f.Users = p.trust(m["trust"])
	} else {
		p.Say(n, "forwarded has no trust", "add trust: {anchors: [FILE]} with the CA of your users: a forwarded certificate is verified again")
	}
	if m["gateway"] != nil {
		p.gateway(f, m["gateway"])
	} else {
		p.Say(n, "forwarded has no gateway: no client could forward a certificate", "add gateway: {anchors: [FILE], names: [gateway.acme.example]}, or fingerprints")
	}
	if f.Gateway == nil && out.Trust == nil && m["gateway"] != nil && m["gateway"].Kind == yaml.MappingNode {
		p.Say(m["gateway"], "gateway has no anchors: the certificate of a gateway cannot be verified", "add anchors: [FILE] with a CA that issues for gateways, and for no users")
	}
	f.Invalid = p.Wrong.Len() > before
}

func (p *parser) topology(f *Forwarded, n *yaml.Node, m map[string]*yaml.Node) {
	var header, value string
	if m["verified"] != nil {
		v := p.Map(m["verified"], "verified", "header", "value")
		header, value = p.Text(v["header"], "header"), p.Text(v["value"], "value")
	}
	var err error
	f.Topology, err = forwarded.ParseTopology(p.Text(m["format"], "format"), p.Text(m["header"], "header"), header, value)
	for _, wrong := range configerror.All(err) {
		p.Say(at(m["format"], n), "forwarded: "+wrong.What, wrong.Hint)
	}
}

// gateway reads which gateways may forward certificates: its own two keys, and the keys of
// a trust.
func (p *parser) gateway(f *Forwarded, n *yaml.Node) {
	m := p.Map(n, "gateway", append([]string{"fingerprints", "names"}, trustKeys...)...)
	f.Pins = p.pins(m["fingerprints"])
	for _, name := range p.scalars(m["names"], "names") {
		f.Names = append(f.Names, name.Value)
	}
	if n.Kind == yaml.MappingNode && len(f.Pins)+len(f.Names) == 0 && m["fingerprints"] == nil && m["names"] == nil {
		p.Say(n, "gateway has neither names nor fingerprints", "add names: [gateway.acme.example], or fingerprints: [SHA-256]")
	}
	for _, key := range trustKeys {
		if m[key] != nil {
			f.Gateway = p.trustOf(n, m)
			return
		}
	}
}
