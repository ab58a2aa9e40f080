package site

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Tunnel is how the server dials gateways. To the guard the tunnels are a port.
type Tunnel struct {
	Port
	Config reverse.ServerConfig // without Handler and OnEvent
}

// AllPorts returns the ports. If the server dials gateways, the last one stands for the
// tunnels to them.
func (g *Generation) AllPorts() []Port {
	if g.Tunnel == nil {
		return g.Ports
	}
	return append(slices.Clip(g.Ports), g.Tunnel.Port)
}

// Authorizes reports whether the policy decides about the requests of the port.
func (p *Port) Authorizes() bool {
	return p.Registration == nil && (p.Tunnel == nil || !p.Tunnel.VerifiedOnly)
}

// reverse reads what a server that dials gateways needs.
func (l *loader) reverse(path string, f *config.Reverse) *Tunnel {
	old := l.previousPort(f.Name)
	out := &Tunnel{Port: l.guard(f.Port)}
	out.Port.Config = ports.Config{Name: f.Name, ClientAuth: f.ClientAuth}
	if l.program.Editor {
		out.Port.Config.Certificate = elsewhere
	}
	if f.Cert.Value != "" && f.Key.Value != "" {
		l.certificate(path, f.Port, &out.Port)
		l.checkClientAuth(path, f, &out.Port)
	}
	if f.Trust != nil {
		out.clients = l.trust(path, "reverse, clients", f.Trust, old.clients)
	}
	if f.Gateway != nil {
		out.gateways = l.trust(path, "reverse, gateway", f.Gateway, old.gateways)
	}
	out.Gateways = &Gateways{Names: f.Names, Pins: f.Pins, Addrs: f.Gateways}
	l.upstream(path, f.Port, &out.Port)
	out.Config = reverse.ServerConfig{
		Name: f.Name, Services: f.Services, Addrs: f.Gateways, ServerName: f.ServerName,
		Gateways: forwarded.Gateways{Pins: f.Pins, Names: f.Names, Trust: out.gateways.Verifier},
		Users:    out.clients.Verifier,
	}
	return out
}

// checkClientAuth rejects a certificate that no registration port would accept.
func (l *loader) checkClientAuth(path string, f *config.Reverse, out *Port) {
	if out.Config.Certificate == nil {
		return // reported before
	}
	pair, err := out.Config.Certificate(nil)
	if err != nil || slices.Contains(pair.Leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return
	}
	at := f.Cert.In(path)
	at.What = "the certificate lacks the extended key usage clientAuth: no gateway would accept the registration"
	at.Hint = "use a certificate with clientAuth, by a CA that the registration port trusts"
	l.wrong.Add(at)
}

// checkReverse builds the server once, so that settings that are wrong only together are
// rejected.
func (l *loader) checkReverse(path string, f *config.File, g *Generation) {
	if g.Tunnel == nil {
		return
	}
	c := g.Tunnel.Config
	c.Certificate, c.Handler = g.Tunnel.Certificate, http.NotFoundHandler()
	_, err := reverse.NewServer(c)
	line := f.Reverse.Line()
	l.wrong.Merge(placed(err, path, line), configerror.Error{File: path, Line: line})
}

// checkRegistration rejects a CA that issues for registered servers and for callers: a
// caller with the right name in its certificate could register as a server.
func (l *loader) checkRegistration(path string, f *config.File, g *Generation) {
	for i, p := range f.Ports {
		servers := g.Ports[i].clients.Verifier
		if p.Registration == nil || !p.Registration.ByName || servers == nil {
			continue
		}
		for j, other := range g.Ports {
			users := other.CallersTrust()
			if i != j && users != nil && trustaccess.SharesAnchor(servers, users) {
				l.wrong.Add(configerror.Error{
					File: path, Line: p.Registration.Line(),
					What: fmt.Sprintf("servers register by a name under an authority that also issues for the callers of port %s", other.Config.Name),
					Hint: "use a CA that issues for such servers only, or fingerprints instead of names",
				})
			}
		}
	}
}

// CallersTrust returns the verifier of the callers' certificates: those of connections, or
// forwarded ones.
func (p *Port) CallersTrust() *trust.Verifier {
	if p.Guard.Forwarded == nil {
		return p.clients.Verifier
	}
	return p.users.Verifier
}

// Certificate returns the server's certificate for the handshake with a gateway.
func (t *Tunnel) Certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if t.Port.Config.Certificate == nil {
		return nil, errors.New("mtlsguard: no certificate") // reported when it was read
	}
	return t.Port.Config.Certificate(nil)
}

// Routes are the services behind the ports of one generation.
type Routes struct {
	Registration string                    // the port that servers dial; empty: there is none
	services     []config.Service          // who may serve; nil: whom the certificate names
	callers      map[trust.Digest]bool     // keys of the anchors of the other ports' users
	Tunnels      map[string]*config.Tunnel // by port
}

func (g *Generation) Routes() *Routes {
	out := &Routes{Tunnels: map[string]*config.Tunnel{}, callers: map[trust.Digest]bool{}}
	for _, p := range g.Ports {
		if users := p.CallersTrust(); users != nil && p.Registration == nil {
			for _, a := range users.Anchors() {
				out.callers[trust.SPKIOf(a)] = true
			}
		}
		if r := p.Registration; r != nil {
			out.Registration, out.services = p.Config.Name, r.Services
		}
		if p.Tunnel != nil {
			out.Tunnels[p.Config.Name] = p.Tunnel
		}
	}
	return out
}

// Authorize returns the services that a server may register for: it is meant for
// reverse.GatewayConfig.Authorize.
func (r *Routes) Authorize(_ context.Context, chain []*x509.Certificate) ([]string, error) {
	var names, out []string
	for _, n := range chain[0].DNSNames {
		names = append(names, strings.ToLower(n))
	}
	// By a name only where no authority of the callers is on the way: there any caller may
	// get one. checkRegistration sees this where the authorities between are known.
	if slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return r.callers[trust.SPKIOf(c)] }) {
		names = nil
	}
	if r.services == nil {
		out = names
	}
	fingerprint := trust.FingerprintOf(chain[0])
	for _, s := range r.services {
		if slices.Contains(s.Pins, fingerprint) || slices.ContainsFunc(s.Names, func(n string) bool { return slices.Contains(names, n) }) {
			out = append(out, s.Name)
		}
	}
	if len(out) == 0 {
		return nil, reason.Refuse(reason.Denied, "the certificate may register for no service")
	}
	return out, nil
}

// Service returns the service of a request, or "": it is meant for
// reverse.GatewayConfig.Service.
func (r *Routes) Service(req *http.Request) string {
	c, ok := ports.FromContext(req.Context())
	if !ok {
		return ""
	}
	t := r.Tunnels[c.Port().Name()]
	if t == nil {
		return ""
	}
	if s, ok := t.Hosts[hostname.Canonical(req.Host)]; ok {
		return s
	}
	return t.Service
}
