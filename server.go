package mtlsguard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/mistake"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Mistake is one thing wrong with a configuration: file, line, what, and a hint.
type Mistake = mistake.Mistake

// Mistakes returns every mistake in an error of Open or Reload.
func Mistakes(err error) []*Mistake { return mistake.All(err) }

// Options are what a configuration file cannot say.
type Options struct {
	// Log gets one record for every decision, refused handshake and reload; nil
	// discards them.
	Log *slog.Logger
	// Debug puts the whole explanation into refusals.
	Debug bool
	// Authenticators are asked on a port, by its name, when no certificate was sent.
	Authenticators map[string][]middleware.Authenticator
	// Observe is told of every decision, besides the log. It must not block.
	Observe func(*http.Request, middleware.Outcome)
	// Ready is called once by Serve, when every port accepts.
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
	events  *events
	guard   *middleware.Guard
	ports   []*ports.Port

	mu      sync.Mutex // one reload at a time
	current *generation
	tried   *files // what the last reading found, good or bad
	number  atomic.Uint64
}

// Open reads a configuration file and everything that it names. It opens no port.
// The error joins every mistake; see Mistakes.
func Open(path string, options Options) (*Server, error) { return open(nil, path, options) }

// OpenFS is Open for a file system of the program's own, an embed.FS say.
func OpenFS(fsys fs.FS, path string, options Options) (*Server, error) {
	return open(fsys, path, options)
}

func open(fsys fs.FS, path string, options Options) (*Server, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Server{path: path, fsys: fsys, options: options}
	s.events = newEvents(options.Log, &s.number)
	l := &loader{files: newFiles(fsys), now: options.Now}
	g, err := l.load(path)
	if err != nil {
		return nil, err
	}
	if s.guard, err = middleware.New(s.guardConfig(g, 1)); err != nil {
		return nil, err
	}
	for _, p := range g.ports {
		port, err := ports.New(s.portConfig(p))
		if err != nil {
			return nil, err
		}
		s.ports = append(s.ports, port)
	}
	s.keep(g)
	s.events.warnings(g.warnings)
	return s, nil
}

// keep makes a generation the current one.
func (s *Server) keep(g *generation) {
	s.current, s.tried = g, g.files
	g.files.drop()
	s.number.Add(1)
}

func (s *Server) guardConfig(g *generation, number uint64) middleware.Config {
	c := middleware.Config{
		Map: g.table, Policy: g.engine, Debug: s.options.Debug, Generation: number,
		PerPort: make(map[string]middleware.PortConfig, len(g.ports)),
		Observe: s.observe,
	}
	for _, p := range g.ports {
		pc := p.guard
		pc.Authenticators = s.options.Authenticators[p.config.Name]
		c.PerPort[p.config.Name] = pc
	}
	return c
}

func (s *Server) portConfig(p portGeneration) ports.Config {
	c := p.config
	c.OnHandshake = s.events.handshake
	return c
}

func (s *Server) observe(r *http.Request, o middleware.Outcome) {
	s.events.decision(r, &o)
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

// Serve opens every port, guards h on all of them, and watches the files that the
// configuration names, until ctx ends. Then it drains; see ports.Server.
func (s *Server) Serve(ctx context.Context, h http.Handler) error {
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { s.watch(watching) })
	defer watch.Wait()
	defer stop()
	server := &ports.Server{
		Handler: s.Handler(h), Ports: s.ports, ErrorLog: s.events.httpErrors(),
		Ready: func() {
			s.events.note("ready", "ready", "ok")
			if s.options.Ready != nil {
				s.options.Ready()
			}
		},
		Draining: func() { s.events.note("drain", "draining", "ok") },
	}
	return server.Serve(ctx)
}

// Reload reads everything again and puts it in force, all of it or nothing: with
// any mistake the last good state stays. A change of a port's name, address or
// mode, or of the number of ports, is a mistake; see ports.ErrRestart.
func (s *Server) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &loader{files: newFiles(s.fsys), previous: s.current, now: s.options.Now}
	g, err := l.load(s.path)
	if err == nil {
		err = s.swap(g)
	}
	if err != nil {
		l.files.drop()
		s.tried = l.files
		s.events.reloadFailed(s.path, err)
		return fmt.Errorf("mtlsguard: the last good configuration stays in force: %w", err)
	}
	s.keep(g)
	s.events.note("reload", "configuration in force", "ok")
	s.events.warnings(g.warnings)
	return nil
}

// swap puts a checked generation in force: the guard's one pointer first, so that
// every decision from here on is the new generation's; then the ports, for the
// handshakes to come and the connections that are not believed any more.
func (s *Server) swap(g *generation) error {
	if err := s.fixed(g); err != nil {
		return err
	}
	if err := s.guard.Reconfigure(s.guardConfig(g, s.number.Load()+1)); err != nil {
		return err
	}
	var errs []error
	for i, p := range g.ports {
		if old := s.current.ports[i]; old.same(p) {
			continue
		}
		errs = append(errs, s.ports[i].Reconfigure(s.portConfig(p)))
	}
	return errors.Join(errs...)
}

// same reports whether an open port has nothing to change.
func (p portGeneration) same(q portGeneration) bool {
	return p.trustKey == q.trustKey && p.config.Trust == q.config.Trust && p.certKey == q.certKey &&
		p.config.Limits == q.config.Limits && p.config.MinVersion == q.config.MinVersion
}

// fixed refuses what an open port cannot change.
func (s *Server) fixed(g *generation) error {
	var wrong mistake.List
	say := func(what string) {
		wrong.Add(Mistake{File: s.path, What: what + ": " + ports.ErrRestart.Error(), Hint: "restart the server, or take the change back"})
	}
	if len(g.ports) != len(s.current.ports) {
		say(fmt.Sprintf("there were %d ports, now there are %d", len(s.current.ports), len(g.ports)))
		return wrong.Err()
	}
	for i, p := range g.ports {
		switch old := s.current.ports[i].config; {
		case p.config.Name != old.Name:
			say(fmt.Sprintf("port %s is now called %s", old.Name, p.config.Name))
		case p.config.Addr != old.Addr:
			say(fmt.Sprintf("port %s was at %s, now at %s", old.Name, old.Addr, p.config.Addr))
		case p.config.ClientAuth != old.ClientAuth:
			say(fmt.Sprintf("port %s had client_cert %s, now %s", old.Name, old.ClientAuth, p.config.ClientAuth))
		}
	}
	return wrong.Err()
}
