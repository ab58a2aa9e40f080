package mtlsguard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// openGateway creates the gateway, if the configuration has a registration port.
func (s *Server) openGateway(g *site.Generation) error {
	s.routes.Store(g.Routes())
	i := slices.IndexFunc(g.Ports, func(p site.Port) bool { return p.Registration != nil })
	if i < 0 {
		return nil
	}
	config, err := s.verifiedOnlyConfig(g, 1)
	if err != nil {
		return err
	}
	if s.verifiedOnly, err = middleware.New(config); err != nil {
		return err
	}
	port := g.Ports[i].Config.Name
	s.gateway, err = reverse.NewGateway(reverse.GatewayConfig{
		Authorize: func(ctx context.Context, chain []*x509.Certificate) ([]string, error) {
			return s.routes.Load().Authorize(ctx, chain)
		},
		Service:     func(r *http.Request) string { return s.routes.Load().Service(r) },
		Upgrades:    g.Ports[i].Registration.Upgrades,
		CallerShare: g.Ports[i].Registration.CallerShare,
		OnEvent:     func(e reverse.Event) { s.events.LogTunnel(port, e) },
	})
	return err
}

// dispatch returns the handler for all ports. It registers servers at the registration
// port, sends requests of ports with a tunnel through it, and calls next for the others.
func (s *Server) dispatch(next http.Handler) http.Handler {
	guarded := s.guard.Handler(next)
	if s.gateway == nil {
		return guarded
	}
	registrations := s.gateway.Registrations()
	checked, verified := s.guard.Handler(s.gateway), s.verifiedOnly.Handler(s.gateway)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := ports.FromContext(r.Context())
		if !ok {
			guarded.ServeHTTP(w, r) // the guard refuses it
			return
		}
		routes := s.routes.Load()
		switch t := routes.Tunnels[c.Port().Name()]; {
		case c.Port().Name() == routes.Registration:
			registrations.ServeHTTP(w, r)
		case t == nil:
			guarded.ServeHTTP(w, r)
		case t.VerifiedOnly:
			verified.ServeHTTP(w, r)
		default:
			checked.ServeHTTP(w, r)
		}
	})
}

// guardOf returns the guard of a port. It is nil for a registration port, which has no
// callers.
func (s *Server) guardOf(p *site.Port) *middleware.Guard {
	switch {
	case p.Registration != nil:
		return nil
	case p.Tunnel != nil && p.Tunnel.VerifiedOnly:
		return s.verifiedOnly
	}
	return s.guard
}

// shutDownGateway drains the tunnels of registered servers in the background. The returned
// function waits for the end.
func (s *Server) shutDownGateway() (wait func()) {
	if s.gateway == nil {
		return func() {}
	}
	drain := defaultDrain
	for _, p := range s.currentGeneration().Ports {
		if p.Registration != nil && p.Config.Limits.Drain > 0 {
			drain = p.Config.Limits.Drain
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		_ = s.gateway.Shutdown(ctx)
	}()
	return func() { <-done }
}

// defaultDrain is the default of ports.Limits.Drain.
const defaultDrain = 8 * time.Second

// swapGateway reconfigures the gateway: new requests use g, and registered servers that g
// does not trust are disconnected.
func (s *Server) swapGateway(g *site.Generation) error {
	if s.gateway == nil {
		return nil
	}
	config, err := s.verifiedOnlyConfig(g, s.generation.Load()+1)
	if err != nil {
		return err
	}
	if err := s.verifiedOnly.Reconfigure(config); err != nil {
		return err
	}
	s.routes.Store(g.Routes())
	s.gateway.Recheck(context.Background())
	return nil
}

// openTunnels creates the reverse.Server that dials the gateways of the configuration. It
// returns nil if there is none. From then on reloads reconfigure it.
func (s *Server) openTunnels(h http.Handler) (*reverse.Server, error) {
	s.applying.Lock() // otherwise a reload could miss the new server
	defer s.applying.Unlock()
	g := s.currentGeneration()
	if g.Tunnel == nil {
		return nil, nil
	}
	c := g.Tunnel.Config
	c.Handler = s.guard.Handler(h)
	c.ErrorLog = s.events.HTTPErrorLog()
	c.Certificate = s.tunnelCertificate
	c.OnEvent = func(e reverse.Event) { s.events.LogTunnel(c.Name, e) }
	inner, err := reverse.NewServer(c)
	if err != nil {
		return nil, err
	}
	s.tunnels.Store(inner)
	return inner, nil
}

// tunnelCertificate returns the current certificate for connections to gateways.
func (s *Server) tunnelCertificate(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return s.currentGeneration().Tunnel.Certificate(r)
}

// swapTunnels reconfigures the tunnels to gateways if their trust has changed.
func (s *Server) swapTunnels(g *site.Generation) error {
	inner := s.tunnels.Load()
	if inner == nil || g.Tunnel.Config.Users == s.current.Tunnel.Config.Users && sameGateways(g.Tunnel.Config.Gateways, s.current.Tunnel.Config.Gateways) {
		return nil // each connection reads the certificate by itself
	}
	return inner.Reconfigure(g.Tunnel.Config)
}

func sameGateways(a, b forwarded.Gateways) bool {
	return a.Trust == b.Trust && slices.Equal(a.Names, b.Names) && slices.Equal(a.Pins, b.Pins)
}

// checkTunnelRestart rejects changes that open tunnels cannot make.
func (s *Server) checkTunnelRestart(g *site.Generation, reject func(line int, what string)) {
	for i, p := range g.Ports {
		if i >= len(s.current.Ports) || s.current.Ports[i].Config.Name != p.Config.Name {
			continue // checkRestart has rejected it
		}
		old := s.current.Ports[i]
		switch {
		case (p.Registration == nil) != (old.Registration == nil):
			reject(p.Line, fmt.Sprintf("port %q: registration was added or removed", p.Config.Name))
		case (p.Tunnel == nil) != (old.Tunnel == nil):
			reject(p.Line, fmt.Sprintf("port %q: tunnel was added or removed", p.Config.Name))
		case p.Registration != nil && !slices.Equal(p.Registration.Upgrades, old.Registration.Upgrades):
			reject(p.Line, fmt.Sprintf("port %q: upgrades have changed", p.Config.Name))
		case p.Registration != nil && p.Registration.CallerShare != old.Registration.CallerShare:
			reject(p.Line, fmt.Sprintf("port %q: caller_share has changed", p.Config.Name))
		}
	}
	t, old := g.Tunnel, s.current.Tunnel
	switch {
	case t == nil && old == nil:
	case t == nil:
		reject(0, "reverse was removed")
	case old == nil:
		reject(t.Line, "reverse was added")
	case t.Config.Name != old.Config.Name || t.Config.ServerName != old.Config.ServerName ||
		!slices.Equal(t.Config.Addrs, old.Config.Addrs) || !slices.Equal(t.Config.Services, old.Config.Services):
		reject(t.Line, "reverse: name, server_name, gateways or services have changed")
	}
}

// addTunnelStatus adds the tunnels to a Status. A server without any tunnel is not ready;
// one of two gateways, or the servers of one of two services, may be missing.
func (s *Server) addTunnelStatus(g *site.Generation, out *Status) {
	if g.Tunnel != nil {
		out.Gateways = map[string]int{}
		for _, addr := range g.Tunnel.Config.Addrs {
			out.Gateways[addr] = 0
		}
		open := 0
		if inner := s.tunnels.Load(); inner != nil {
			for addr, n := range inner.Tunnels() {
				out.Gateways[addr] = n
				open += n
			}
		}
		if open == 0 {
			out.NotReady = append(out.NotReady, "no gateway is connected")
		}
	}
	if s.gateway == nil {
		return
	}
	out.Services = map[string]int{}
	for _, t := range s.routes.Load().Tunnels {
		for _, service := range t.Services() {
			out.Services[service] = 0
		}
	}
	registered := false
	for _, c := range s.gateway.Tunnels() {
		for _, service := range c.Services {
			if n, ok := out.Services[service]; ok && !c.Draining {
				out.Services[service] = n + 1
				registered = true
			}
		}
	}
	if !registered && len(out.Services) > 0 {
		out.NotReady = append(out.NotReady, "no server has registered")
	}
}
