package mtlsguard

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/mtlsguard/mtlsguard/internal/shadow"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
)

// guardConfig returns the configuration of the guard for a generation.
func (s *Server) guardConfig(g *site.Generation, number uint64) (middleware.Config, error) {
	decider, err := s.decider(g)
	if err != nil {
		return middleware.Config{}, err
	}
	c := s.commonGuardConfig(g, number)
	c.Map, c.Policy, c.Quotas, c.Now = g.Table, decider, g.Quotas, s.options.Now
	if s.options.Map != nil {
		c.Map = s.options.Map
	}
	for _, p := range g.AllPorts() {
		if !p.Authorizes() {
			continue
		}
		pc := p.Guard
		pc.Authenticators = s.options.Authenticators[p.Config.Name]
		if pc.Handler != nil && s.options.Around != nil {
			pc.Handler = s.options.Around(pc.Handler)
		}
		if page := s.page(g, p.Config.Name); page != nil {
			pc.Handler = page
		}
		c.PerPort[p.Config.Name] = pc
	}
	return c, nil
}

// commonGuardConfig returns the settings that both guards have.
func (s *Server) commonGuardConfig(g *site.Generation, number uint64) middleware.Config {
	return middleware.Config{
		Debug: s.options.Debug, Refuse: s.options.Refuse, Generation: number, IdentityHeaders: slices.Concat(s.options.IdentityHeaders, g.CallerHeaders()),
		PerPort: map[string]middleware.PortConfig{},
		Observe: func(r *http.Request, o middleware.Outcome) { s.observe(r, &o) }, Time: s.options.Observe != nil || s.events.Enabled(slog.LevelInfo),
	}
}

// decider returns the policy of a generation, with a shadow if the options ask for one.
func (s *Server) decider(g *site.Generation) (policy.Decider, error) {
	if s.options.Policy != nil {
		return s.options.Policy, nil
	}
	if s.options.ShadowEvery == 0 {
		return g.Engine, nil
	}
	shadowed, err := shadow.New(g.Engine, s.options.ShadowEvery, s.events.LogDifference)
	if err != nil {
		return nil, fmt.Errorf("Options.ShadowEvery: %w", err)
	}
	s.shadow.Store(shadowed)
	return shadowed, nil
}
