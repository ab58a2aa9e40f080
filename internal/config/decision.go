package config

import (
	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/ports"
)

// Decision is how a gateway asks a port about requests of its own clients.
type Decision struct {
	Position
	Method, Target, Host Scalar // names of headers; Host may be empty
}

// notOfDecisions are keys that have no effect on a port that serves no request.
var notOfDecisions = []string{"upstream", "tunnel", "registration", "cancel_requests"}

// answer reads what a port answers in place of serving requests. The port's mode and its
// forwarded must have been read.
func (p *parser) answer(out *Port, m map[string]*yaml.Node) {
	n := m["answer"]
	if n == nil {
		return
	}
	k := p.Map(n, "answer", "decision")
	if n.Kind != yaml.MappingNode {
		return // reported by Map
	}
	d := k["decision"]
	if d == nil {
		p.Say(n, "answer has no decision", "write answer: {decision: {method: X-Original-Method, target: X-Original-URI}}")
		return
	}
	keys := p.Map(d, "decision", "method", "target", "host")
	out.Decision = &Decision{Position: Position{d}, Method: p.scalar(keys["method"], "method"), Target: p.scalar(keys["target"], "target"), Host: p.scalar(keys["host"], "host")}
	if d.Kind == yaml.MappingNode {
		p.decision(out, m, n)
	}
}

// decision checks the port around a decision. The names of the headers are checked where the
// guard is made.
func (p *parser) decision(out *Port, m map[string]*yaml.Node, n *yaml.Node) {
	d := out.Decision
	if d.Method.Value == "" {
		p.Say(d.node, "decision has no method: the header in which the gateway sends the method of its client's request", "add method: X-Original-Method, as docs/ask.md shows it for your gateway")
	}
	if d.Target.Value == "" {
		p.Say(d.node, "decision has no target: the header in which the gateway sends the target of its client's request", "add target: X-Original-URI, as docs/ask.md shows it for your gateway")
	}
	if out.Forwarded == nil && m["forwarded"] == nil {
		p.Say(n, "answer needs forwarded: a gateway asks about the certificate that it forwards", "add forwarded: {format: …, gateway: …, trust: …} to the port")
	} else if out.ClientAuth == ports.Request {
		p.Say(m["client_cert"], "client_cert: a port that answers questions needs require: only gateways may ask", "set client_cert: require")
	}
	if d.Host.Value != "" && m["server_names"] == nil {
		p.Say(d.node, "host has no effect without server_names", "add server_names: [api.acme.example] with the hosts that the port answers for, or remove host")
	}
	for _, key := range notOfDecisions {
		if m[key] != nil {
			p.Say(m[key], key+" has no effect on a port that answers questions: it serves no request", "remove it, or use a port for each")
		}
	}
}
