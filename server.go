package mtlsguard

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/audit"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/shadow"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// Options are what a configuration file cannot say.
type Options struct {
	// Log gets one record for every decision, refused handshake and reload; nil
	// discards them.
	Log *slog.Logger
	// Debug puts the whole explanation into refusals.
	Debug bool
	// Authenticators are asked on a port, by its name, when no certificate was sent.
	Authenticators map[string][]middleware.Authenticator
	// IdentityHeaders are deleted from every request, beyond those that package
	// middleware knows.
	IdentityHeaders []string
	// Observe is told of every decision, besides the log. It must not block.
	Observe func(*http.Request, middleware.Outcome)
	// OnHandshake is told of every handshake, finished or not, besides the log. It must
	// not block.
	OnHandshake func(ports.Handshake)
	// ShadowEvery asks Casbin again about one decision in so many, off the request's way; a
	// difference is an error in the log. 0 asks never. Casbin's own copy of the policy
	// takes some seven times the memory of ours.
	ShadowEvery int
	// Ready is called once by Serve, when every port accepts; where there is none, when
	// the first gateway sends requests.
	Ready func()
	// Now is the clock that certificates are judged by; nil is time.Now.
	Now func() time.Time
}

// Server is one configuration file in force: its ports and its guard. It is safe
// for concurrent use.
type Server struct {
	path    string
	fsys    fs.FS
	options Options
	events  *audit.Logger
	guard   *middleware.Guard
	ports   []*ports.Port

	gateway   *reverse.Gateway  // nil where no server registers
	believers *middleware.Guard // of the ports with check: believed; nil without a gateway
	routes    atomic.Pointer[site.Routes]
	tunnels   atomic.Pointer[reverse.Server] // nil until Serve, and where no gateway is dialled

	reloading sync.Mutex // one reload at a time, however long it takes

	mu      sync.Mutex // what a reload changes in the end; never held for long
	current *site.Generation
	tried   *fileset.Reader // what the last reading found, good or bad
	since   time.Time       // of the current generation
	failed  error           // of the last reload
	arrived map[string]arrival
	number  atomic.Uint64

	counts   []*counts // by port
	shadow   atomic.Pointer[shadow.Policy]
	serving  atomic.Bool
	reloaded chan struct{} // wakes the watcher
}

// now reads the clock that certificates are judged by.
func (o *Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// Open reads a configuration file and everything that it names. It opens no port.
// The error joins every mistake; see Mistakes.
func Open(path string, options Options) (*Server, error) { return open(nil, path, options) }

// OpenFS is Open for a file system of the program's own, an embed.FS say.
func OpenFS(fsys fs.FS, path string, options Options) (*Server, error) {
	return open(fsys, path, options)
}

func open(fsys fs.FS, path string, options Options) (*Server, error) {
	s := &Server{path: path, fsys: fsys, options: options, reloaded: make(chan struct{}, 1)}
	s.events = audit.New(options.Log, &s.number)
	g, _, err := s.read(context.Background(), unchanged)
	if err != nil {
		return nil, err
	}
	if err := s.checkAuthenticators(g); err != nil {
		return nil, err
	}
	config, err := s.guardConfig(g, 1)
	if err != nil {
		return nil, err
	}
	if s.guard, err = middleware.New(config); err != nil {
		return nil, err
	}
	if err := s.openGateway(g); err != nil {
		return nil, err
	}
	for _, p := range g.AllPorts() {
		s.counts = append(s.counts, &counts{port: p.Config.Name})
	}
	for _, p := range g.Ports {
		port, err := ports.New(s.portConfig(p))
		if err != nil {
			return nil, err
		}
		s.ports = append(s.ports, port)
	}
	s.keep(g)
	s.events.LogWarnings(append(site.Weakened(site.GODEBUG()), g.Warnings...))
	return s, nil
}

// keep makes a generation the current one.
func (s *Server) keep(g *site.Generation) {
	g.Files.Read.Drop()
	s.mu.Lock()
	s.current, s.tried, s.since, s.failed = g, g.Files, time.Now(), nil
	s.arrived = arrivals(g.Files, s.arrived, s.since, s.number.Add(1))
	s.mu.Unlock()
	select {
	case s.reloaded <- struct{}{}:
	default:
	}
}

// checkAuthenticators refuses those of a port that does not exist: nobody would
// ever ask them.
func (s *Server) checkAuthenticators(g *site.Generation) error {
	var wrong errorlist.List
	for _, name := range slices.Sorted(maps.Keys(s.options.Authenticators)) {
		if !slices.ContainsFunc(g.AllPorts(), func(p site.Port) bool { return p.Config.Name == name && p.Authorizes() }) {
			wrong.Add(configerror.Error{What: fmt.Sprintf("Options.Authenticators: there is no port %q where users come", name), Hint: "ports are named in " + s.path})
		}
	}
	return wrong.Err()
}

func (s *Server) guardConfig(g *site.Generation, number uint64) (middleware.Config, error) {
	decider, err := s.decider(g)
	if err != nil {
		return middleware.Config{}, err
	}
	c := s.guardOptions(number)
	c.Map, c.Policy = g.Table, decider
	for _, p := range g.AllPorts() {
		if !p.Authorizes() {
			continue
		}
		pc := p.Guard
		pc.Authenticators = s.options.Authenticators[p.Config.Name]
		c.PerPort[p.Config.Name] = pc
	}
	return c, nil
}

// guardOptions is what all guards have in common.
func (s *Server) guardOptions(number uint64) middleware.Config {
	return middleware.Config{
		Debug: s.options.Debug, Generation: number, IdentityHeaders: s.options.IdentityHeaders,
		PerPort: map[string]middleware.PortConfig{},
		Observe: s.observe, Time: s.options.Observe != nil || s.events.Enabled(slog.LevelInfo),
	}
}

// decider is the policy, with its shadow where one is wanted.
func (s *Server) decider(g *site.Generation) (policy.Decider, error) {
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

func (s *Server) portConfig(p site.Port) ports.Config {
	c := p.Config
	counts := s.countsOf(c.Name)
	c.OnHandshake = func(h ports.Handshake) {
		counts.shook(&h)
		s.events.LogHandshake(h)
		if s.options.OnHandshake != nil {
			s.options.OnHandshake(h)
		}
	}
	return c
}

// countsOf looks through a few ports sooner than through a map.
func (s *Server) countsOf(port string) *counts {
	for _, c := range s.counts {
		if c.port == port {
			return c
		}
	}
	return nil
}

func (s *Server) observe(r *http.Request, o middleware.Outcome) {
	if c := s.countsOf(o.Port); c != nil {
		c.decided(o.Allowed, o.Reason)
	}
	s.events.LogDecision(r, &o)
	if s.options.Observe != nil {
		s.options.Observe(r, o)
	}
}

// Guard is the guard of the configuration. It stays the same through reloads.
func (s *Server) Guard() *middleware.Guard { return s.guard }

// Ports are the ports of the configuration, in its order. They stay the same
// through reloads. The slice must not be changed.
func (s *Server) Ports() []*ports.Port { return s.ports }

// Handler guards next with what is in force.
func (s *Server) Handler(next http.Handler) http.Handler { return s.guard.Handler(next) }

// Generation counts the configurations that came into force, from 1.
func (s *Server) Generation() uint64 { return s.number.Load() }

// Serve opens every port, dials every gateway, guards h on all of them, and watches
// the files that the configuration names, until ctx ends. Then it drains; see
// ports.Server. The requests of a port that has a tunnel go there, and not to h. Where
// a port takes registrations it serves once.
func (s *Server) Serve(ctx context.Context, h http.Handler) error {
	tunnels, err := s.openTunnels(h)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { s.watch(watching) })
	watch.Go(func() { s.remind(watching) })
	defer s.events.Flush()
	defer s.events.LogSuppressed(0)
	defer watch.Wait()
	defer stop()
	left := func() {}
	server := &ports.Server{
		Handler: s.dispatch(h), Ports: s.ports, ErrorLog: s.events.HTTPErrorLog(),
		Ready: func() {
			s.serving.Store(true)
			s.events.LogEvent("ready", "ready", "ok")
			s.events.Flush() // what was to be said before anybody is sent here
			if s.options.Ready != nil {
				s.options.Ready()
			}
		},
		Draining: func() {
			s.serving.Store(false)
			s.events.LogEvent("drain", "draining", "ok")
			left = s.leave()
		},
	}
	err = s.run(ctx, server, tunnels)
	left()
	return err
}
