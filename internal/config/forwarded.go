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
	Invalid  bool   // it has errors, all of them reported
}

// forwarded reads how gateways forward certificates. The port's mode and trust must have
// been read.
func (p *parser) forwarded(out *Port, n *yaml.Node) {
	if n == nil {
		return
	}
	before := p.Wrong.Len()
	m := p.Map(n, "forwarded", "format", "gateway", "trust", "header", "verified")
	f := &Forwarded{Position: Position{n}}
	out.Forwarded = f
	if n.Kind != yaml.MappingNode {
		f.Invalid = true
		return // reported by Map
	}
	if out.ClientAuth == ports.None {
		p.Say(n, "forwarded on a port that asks for no certificate: anybody could state one", "client_cert: require, and a certificate for the gateway")
	}
	p.topology(f, n, m)
	if m["trust"] != nil {
		f.Users = p.trust(m["trust"])
	} else {
		p.Say(n, "forwarded has no trust", "trust: {anchors: [FILE]} with the CA of your users; what the gateway believed is not asked")
	}
	if m["gateway"] != nil {
		p.gateway(f, m["gateway"])
	} else {
		p.Say(n, "forwarded has no gateway: nobody could state a certificate", "gateway: {anchors: [FILE], names: [gateway.acme.example]}, or fingerprints")
	}
	if f.Gateway == nil && out.Trust == nil && m["gateway"] != nil && m["gateway"].Kind == yaml.MappingNode {
		p.Say(m["gateway"], "nothing says who issues the gateway's certificate", "anchors: [FILE] with the CA of the gateway, and of no user")
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
		p.Say(n, "gateway names nobody", "fingerprints: [SHA-256], or names: [gateway.acme.example]")
	}
	for _, key := range trustKeys {
		if m[key] != nil {
			f.Gateway = p.trustOf(n, m)
			return
		}
	}
}
