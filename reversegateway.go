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

// believedUser is how logs call who is let through where a port says check: believed.
// There it is nobody in particular: the server inside names and decides.
const believedUser = "believed"

// everyone lets everybody do everything. It is for callers about whom another guard
// decides.
var everyone = sync.OnceValues(func() (*policy.Engine, error) {
	return policy.New([]policy.Rule{
		{Subject: "group:Everybody", Port: "*", Method: "*", Path: "/*", Effect: policy.Allow, File: "check: believed"},
		{Subject: "group:Everybody", Port: "*", Method: "*", Path: "*", Effect: policy.Allow, File: "check: believed"},
	}, nil)
})

// openGateway makes the gateway of a configuration that has one.
func (s *Server) openGateway(g *site.Generation) error {
	s.routes.Store(g.Routes())
	i := slices.IndexFunc(g.Ports, func(p site.Port) bool { return p.Registration != nil })
	if i < 0 {
		return nil
	}
	config, err := s.believedConfig(g, 1)
	if err != nil {
		return err
	}
	if s.believers, err = middleware.New(config); err != nil {
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

// believedConfig is the guard of the ports with check: believed. It is a guard like
// any other, with a table and a policy that tell nobody apart.
func (s *Server) believedConfig(g *site.Generation, number uint64) (middleware.Config, error) {
	policy, err := everyone()
	if err != nil {
		return middleware.Config{}, err
	}
	table, err := certmap.New()
	if err != nil {
		return middleware.Config{}, err
	}
	c := s.guardOptions(number)
	c.Map, c.Policy, c.Unmapped = table, policy, believedUser
	c.IdentityHeaders = slices.Clone(c.IdentityHeaders)
	for _, p := range g.Ports {
		if p.Guard.Forwarded != nil {
			c.IdentityHeaders = append(c.IdentityHeaders, p.Guard.Forwarded.Headers()...) // deleted on every port
		}
		if p.Tunnel != nil && p.Tunnel.VerifiedOnly {
			pc := p.Guard
			pc.Unmapped = believedUser
			c.PerPort[p.Config.Name] = pc
		}
	}
	return c, nil
}

// dispatch serves each port as its role in the configuration says: servers register
// at one, the requests of others go through their tunnels, all else is for next.
func (s *Server) dispatch(next http.Handler) http.Handler {
	guarded := s.Handler(next)
	if s.gateway == nil {
		return guarded
	}
	registrations := s.gateway.Registrations()
	checked, believed := s.guard.Handler(s.gateway), s.believers.Handler(s.gateway)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := ports.FromContext(r.Context())
		if !ok {
			guarded.ServeHTTP(w, r) // which refuses it
			return
		}
		routes := s.routes.Load()
		switch t := routes.Tunnels[c.Port().Name()]; {
		case c.Port().Name() == routes.Registration:
			registrations.ServeHTTP(w, r)
		case t == nil:
			guarded.ServeHTTP(w, r)
		case t.VerifiedOnly:
			believed.ServeHTTP(w, r)
		default:
			checked.ServeHTTP(w, r)
		}
	})
}

// checker is the guard that decides about a port's requests; nil where no caller comes.
func (s *Server) checker(p *site.Port) *middleware.Guard {
	switch {
	case p.Registration != nil:
		return nil
	case p.Tunnel != nil && p.Tunnel.VerifiedOnly:
		return s.believers
	}
	return s.guard
}

// leave says goodbye to the servers that have registered, while the ports drain.
func (s *Server) leave() (wait func()) {
	if s.gateway == nil {
		return func() {}
	}
	drain := defaultDrain
	s.mu.Lock()
	g := s.current
	s.mu.Unlock()
	for _, p := range g.Ports {
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

// defaultDrain is that of ports.Limits.
const defaultDrain = 8 * time.Second

// swapBelieved puts another configuration of the gateway in force: for the requests to
// come, and for the servers that have registered.
func (s *Server) swapBelieved(g *site.Generation) error {
	if s.gateway == nil {
		return nil
	}
	config, err := s.believedConfig(g, s.number.Load()+1)
	if err != nil {
		return err
	}
	if err := s.believers.Reconfigure(config); err != nil {
		return err
	}
	s.routes.Store(g.Routes())
	s.gateway.Recheck(context.Background())
	return nil
}
