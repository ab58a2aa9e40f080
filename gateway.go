package mtlsguard

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// verifiedOnlyUser is the user in log lines of ports with check: believed. Such a port
// verifies the certificate and does not map it: the inner server does.
const verifiedOnlyUser = "believed"

// allowAll returns a policy that allows every request. It is for ports with check:
// believed, where the inner server decides.
var allowAll = sync.OnceValues(func() (*policy.Engine, error) {
	return policy.New([]policy.Rule{
		{Subject: "group:Everybody", Port: "*", Method: "*", Path: "/*", Effect: policy.Allow, File: "check: believed"},
		{Subject: "group:Everybody", Port: "*", Method: "*", Path: "*", Effect: policy.Allow, File: "check: believed"},
	}, nil)
})

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

// verifiedOnlyConfig returns the configuration of the guard for ports with check: believed:
// without mappings, and with a policy that allows every request.
func (s *Server) verifiedOnlyConfig(g *site.Generation, number uint64) (middleware.Config, error) {
	engine, err := allowAll()
	if err != nil {
		return middleware.Config{}, err
	}
	table, err := certmap.New()
	if err != nil {
		return middleware.Config{}, err
	}
	c := s.commonGuardConfig(g, number)
	c.Map, c.Policy, c.Unmapped = table, engine, verifiedOnlyUser
	for _, p := range g.Ports {
		if p.Guard.Forwarded != nil {
			c.IdentityHeaders = append(c.IdentityHeaders, p.Guard.Forwarded.Headers()...) // dropped on every port
		}
		if p.Tunnel != nil && p.Tunnel.VerifiedOnly {
			pc := p.Guard
			pc.Unmapped = verifiedOnlyUser
			c.PerPort[p.Config.Name] = pc
		}
	}
	return c, nil
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
