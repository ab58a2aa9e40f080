package site

import (
	"fmt"
	"net"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

func (l *loader) port(path string, p config.Port) Port {
	l.where = "port " + p.Name + ", "
	defer func() { l.where = "" }()
	out := l.guard(p)
	out.Config = ports.Config{Name: p.Name, Addr: p.Listen, ClientAuth: p.ClientAuth, MinVersion: p.MinVersion, CancelRequests: p.CancelRequests, Limits: p.Limits, Addresses: p.Addresses, ProxyProtocolFrom: p.ProxyFrom}
	if p.Cert.Value != "" && p.Key.Value != "" {
		l.certificate(path, p, &out)
		l.warnServerCertificate(path, p, &out)
	}
	if l.program.Editor {
		out.Config.Certificate = elsewhere
	}
	l.verifiers(path, p, &out)
	l.upstream(path, p, &out)
	if p.Decision != nil {
		l.decision(path, p.Decision, &out)
	}
	if p.ClientAuth == ports.None {
		if host, _, _ := net.SplitHostPort(p.Listen); host == "" || net.ParseIP(host).IsUnspecified() {
			l.warn("ports", configerror.Error{File: path, Line: p.Line()}, fmt.Sprintf("port %s requests no certificate and listens on every address", p.Name), "listen on one address, such as 127.0.0.1:8080, or set client_cert: request")
		}
	}
	return out
}

// guard returns the guard's part of a port.
func (*loader) guard(p config.Port) Port {
	out := Port{
		Line: p.Line(), Registration: p.Registration, Tunnel: p.Tunnel, Decision: p.Decision, LimitsInFile: p.LimitsInFile,
		Guard: middleware.PortConfig{Unmapped: p.Unmapped, Methods: p.Methods, ServerNames: p.ServerNames},
	}
	if !p.Strict {
		out.Guard.Fallback = middleware.ToDefault
	}
	if d := p.Decision; d != nil {
		out.Guard.ForwardAuth = &middleware.ForwardAuth{Method: d.Method.Value, Target: d.Target.Value, Host: d.Host.Value}
	}
	return out
}

// verifiers makes the verifiers of a port: for clients, and behind gateways for gateways
// and forwarded certificates.
func (l *loader) verifiers(path string, p config.Port, out *Port) {
	old := l.previousPort(p.Name)
	if p.Trust != nil {
		out.clients = l.trust(path, "port "+p.Name, p.Trust, old.clients)
	}
	if f := p.Forwarded; f != nil {
		l.forwarded(path, p.Name, f, out, old)
	}
	out.Config.Trust, out.Guard.Trust = out.clients.Verifier, out.clients.Verifier
}

// forwarded makes the receiver of forwarded certificates.
func (l *loader) forwarded(path, port string, f *config.Forwarded, out *Port, old Port) {
	var gateways *trust.Verifier
	switch {
	case f.Gateway == nil:
		gateways = out.clients.Verifier
	case out.clients.Verifier == nil:
		out.clients = l.trust(path, "port "+port+", gateway", f.Gateway, old.clients) // who shows a certificate here is a gateway
		gateways = out.clients.Verifier
	default:
		out.gateways = l.trust(path, "port "+port+", gateway", f.Gateway, old.gateways)
		gateways = out.gateways.Verifier
		if gateways != nil && !trustaccess.SharesAnchor(gateways, out.clients.Verifier) {
			l.wrong.Add(configerror.Error{File: path, Line: f.Line(), What: "no gateway can connect: the port's trust and the gateway's have no anchor in common", Hint: "remove the port's own trust: users are verified by forwarded: {trust: …}"})
		}
	}
	if f.Users != nil {
		out.users = l.trust(path, "port "+port+", forwarded", f.Users, old.users)
	}
	if f.Invalid || gateways == nil || out.users.Verifier == nil {
		return // reported before
	}
	receiver, err := forwarded.New(forwarded.Config{
		Topology: f.Topology, Users: out.users.Verifier, Gateways: forwarded.Gateways{Pins: f.Pins, Names: f.Names, Trust: gateways},
		ClientIP: f.ClientIP,
	})
	l.wrong.Merge(placed(err, path, f.Line()), configerror.Error{File: path, Line: f.Line()})
	out.Guard.Forwarded = receiver
	if receiver != nil {
		out.Gateways = &Gateways{Format: f.Topology.Format(), Headers: receiver.Headers(), Names: f.Names, Pins: f.Pins}
	}
}

// previousPort returns a port of the current generation, or the zero value.
func (l *loader) previousPort(port string) Port {
	if l.previous != nil {
		for _, p := range l.previous.AllPorts() {
			if p.Config.Name == port {
				return p
			}
		}
	}
	return Port{}
}
