package mtlsguard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// openTunnels makes the server that dials gateways, where the configuration names
// some. From then on reloads change it.
func (s *Server) openTunnels(h http.Handler) (*reverse.Server, error) {
	s.reloading.Lock() // what it is made from must not change before reloads know it
	defer s.reloading.Unlock()
	g := s.current
	if g.Tunnel == nil {
		return nil, nil
	}
	c := g.Tunnel.Config
	c.Handler = s.Handler(h)
	c.ErrorLog = s.events.HTTPErrorLog()
	c.Certificate = s.ownCertificate
	c.OnEvent = func(e reverse.Event) { s.events.LogTunnel(c.Name, e) }
	inner, err := reverse.NewServer(c)
	if err != nil {
		return nil, err
	}
	s.tunnels.Store(inner)
	return inner, nil
}

// ownCertificate answers a gateway with the certificate in force.
func (s *Server) ownCertificate(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	g := s.current
	s.mu.Unlock()
	return g.Tunnel.Certificate(r)
}

// run serves on every port and through every tunnel until ctx ends, or one of them
// fails.
func (s *Server) run(ctx context.Context, server *ports.Server, tunnels *reverse.Server) error {
	if tunnels == nil {
		return server.Serve(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var dialling sync.WaitGroup
	var dialled error
	dialling.Go(func() {
		defer cancel()
		dialled = tunnels.Serve(ctx)
	})
	var err error
	if len(server.Ports) > 0 {
		err = server.Serve(ctx)
	} else {
		select {
		case <-tunnels.Ready():
			server.Ready()
			<-ctx.Done()
		case <-ctx.Done():
		}
		server.Draining()
	}
	cancel()
	dialling.Wait()
	return errors.Join(err, dialled)
}

// swapTunnels puts another trust in force for gateways and their callers.
func (s *Server) swapTunnels(g *site.Generation) error {
	inner := s.tunnels.Load()
	if inner == nil || g.Tunnel.Config.Users == s.current.Tunnel.Config.Users && sameGateways(g.Tunnel.Config.Gateways, s.current.Tunnel.Config.Gateways) {
		return nil // the certificate is asked for
	}
	return inner.Reconfigure(g.Tunnel.Config)
}

func sameGateways(a, b forwarded.Gateways) bool {
	return a.Trust == b.Trust && slices.Equal(a.Names, b.Names) && slices.Equal(a.Pins, b.Pins)
}

// fixedReverse refuses what cannot change while tunnels are open.
func (s *Server) fixedReverse(g *site.Generation, say func(line int, what string)) {
	for i, p := range g.Ports {
		if i >= len(s.current.Ports) || s.current.Ports[i].Config.Name != p.Config.Name {
			continue // told
		}
		old := s.current.Ports[i]
		switch {
		case (p.Registration == nil) != (old.Registration == nil):
			say(p.Line, fmt.Sprintf("port %s has begun or ceased to take registrations", p.Config.Name))
		case (p.Tunnel == nil) != (old.Tunnel == nil):
			say(p.Line, fmt.Sprintf("port %s has got a tunnel or lost it", p.Config.Name))
		case p.Registration != nil && !slices.Equal(p.Registration.Upgrades, old.Registration.Upgrades):
			say(p.Line, fmt.Sprintf("port %s has other upgrades", p.Config.Name))
		case p.Registration != nil && p.Registration.CallerShare != old.Registration.CallerShare:
			say(p.Line, fmt.Sprintf("port %s has another caller_share", p.Config.Name))
		}
	}
	t, old := g.Tunnel, s.current.Tunnel
	switch {
	case t == nil && old == nil:
	case t == nil:
		say(0, "reverse is gone")
	case old == nil:
		say(t.Line, "reverse is new")
	case t.Config.Name != old.Config.Name || t.Config.ServerName != old.Config.ServerName ||
		!slices.Equal(t.Config.Addrs, old.Config.Addrs) || !slices.Equal(t.Config.Services, old.Config.Services):
		say(t.Line, "reverse has another name, server_name, gateways or services")
	}
}

// tunnelStatus tells which tunnels there are. A server without any is not ready; one of
// two gateways, or the servers of one of two services, may be away.
func (s *Server) tunnelStatus(g *site.Generation, out *Status) {
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
	served := false
	for _, c := range s.gateway.Tunnels() {
		for _, service := range c.Services {
			if n, ok := out.Services[service]; ok && !c.Draining {
				out.Services[service] = n + 1
				served = true
			}
		}
	}
	if !served && len(out.Services) > 0 {
		out.NotReady = append(out.NotReady, "no server has registered")
	}
}
