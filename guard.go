package mtlsguard

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/adminfile"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/internal/shadow"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/token"
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

// pages are the handlers of what the server itself answers on its ports. Open makes them, before
// the first request.
type pages struct{ admin, metrics http.Handler }

// block is a block of the file that asks for a page, and how the program makes its handler.
type block struct {
	key     string
	page    *config.Page // nil: the file has no such block
	open    func(*Server) (http.Handler, error)
	handler *http.Handler
	hint    string // for a program that makes none
}

func (s *Server) blocks(g *site.Generation) []block {
	out := []block{
		{"admin", nil, s.options.Admin, &s.pages.admin, "set Options.Admin of the program, as docs/admin.md shows it, or remove admin"},
		{"metrics", g.Metrics, s.options.Metrics, &s.pages.metrics, "set Options.Metrics of the program, as docs/observe.md shows it, or remove metrics"},
	}
	if g.Admin != nil {
		out[0].page = &g.Admin.Page
	}
	return out
}

// openPages makes the handlers that the file asks for. It is the last step of Open: they may use
// the server.
func (s *Server) openPages(g *site.Generation) error {
	var wrong errorlist.List
	for _, b := range s.blocks(g) {
		if b.page == nil || b.open == nil {
			continue
		}
		h, err := b.open(s)
		*b.handler = h
		for _, e := range configerror.All(err) {
			if e.File == "" {
				e.File, e.Line = s.path, b.page.Line()
			}
		}
		wrong.Merge(err, b.page.In(s.path))
	}
	return wrong.Err()
}

// checkPages rejects blocks for which there is no handler.
func (s *Server) checkPages(g *site.Generation) error {
	var wrong errorlist.List
	for _, b := range s.blocks(g) {
		if b.page == nil || *b.handler != nil {
			continue
		}
		e := b.page.In(s.path)
		e.What, e.Hint = b.key+": the program does not serve it", b.hint
		if b.open != nil {
			e.What, e.Hint = b.key+" is new: this needs a restart", "restart the server, or undo the change"
		}
		wrong.Add(e)
	}
	return wrong.Err()
}

// page returns the handler of a port for which g has pages, or nil. A page without a handler is a
// 500, and never left to the program's own handler.
func (s *Server) page(g *site.Generation, port string) http.Handler {
	if !g.HasPage(port) {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var h http.Handler
		switch {
		case g.Tokens != nil && g.Tokens.Port == port && r.URL.Path == token.Path:
			h = s.tokens.Handler(time.Now)
		case g.Metrics != nil && g.Metrics.Port == port && r.URL.Path == g.Metrics.Path:
			h = s.pages.metrics
		case g.Admin != nil && g.Admin.Port == port:
			h = s.pages.admin
		default:
			problem.Failure(http.StatusNotFound).Write(w, r)
			return
		}
		if h == nil {
			h = http.HandlerFunc(notServed)
		}
		h.ServeHTTP(w, r)
	})
}

// useTokenKey makes headers be signed with the key of g. A key that is replaced stays published for
// as long as a token that it has signed may be verified.
func (s *Server) useTokenKey(g *site.Generation) {
	if g.Tokens != nil {
		s.tokens.Use(g.TokenKey, time.Now())
	}
}

func init() {
	adminfile.OfServer = func(server any) adminfile.Settings {
		if a := server.(*Server).currentGeneration().Admin; a != nil {
			return adminfile.Settings{Title: a.Title, Edit: a.Edit}
		}
		return adminfile.Settings{}
	}
}
