package mtlsguard

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/audit"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/follow"
	"github.com/mtlsguard/mtlsguard/internal/shadow"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/token"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/source"
)

// Server runs the ports and the guard of one configuration file. It is safe for concurrent
// use.
//
// A reload has two parts. Reading files may take long: it waits until files have stopped
// changing, and may fetch a CRL. Applying the new generation is quick. Each part has a
// lock of its own, so that Explain and Status never wait for a file or for the network.
type Server struct {
	path    string
	fsys    fs.FS // nil: the operating system's
	options Options
	events  *audit.Logger
	guard   *middleware.Guard
	ports   []*ports.Port

	gateway      *reverse.Gateway  // nil: no server registers here
	verifiedOnly *middleware.Guard // decides for ports with check: believed; nil without a gateway
	routes       atomic.Pointer[site.Routes]
	tunnels      atomic.Pointer[reverse.Server] // nil until Serve, and where no gateway is dialled

	from     source.Source      // that the follower follows
	follower *follow.Follower   // nil: all files are on disk
	pinned   *source.Generation // is mounted while files are read; only a reload writes it

	reading  sync.Mutex // held during a whole reload
	parsed   int64      // bytes since memory was last to be returned; only a reload writes it
	applying sync.Mutex // held while a generation is applied; guards applied; taken after reading
	applied  uint64     // how often a generation was applied, successfully or not

	mu         sync.Mutex // guards the fields below; held for field access only; taken last
	current    *site.Generation
	tried      *fileset.Reader // the last reading, good or bad
	since      time.Time       // when the current generation took effect
	failed     *reloadFailure  // of the last reload; nil if it succeeded
	files      map[string]fileState
	history    records
	requests   int                // calls of Reload that have not finished
	stopLook   context.CancelFunc // ends the reload of the watcher; nil if there is none
	generation atomic.Uint64      // written with mu held

	counts    []*counts // by port
	shadow    atomic.Pointer[shadow.Policy]
	handler   atomic.Pointer[http.Handler] // of the last call of Handler
	noHandler atomic.Bool                  // Serve got none: every port needs an upstream or a tunnel
	running   atomic.Bool                  // Run or Serve is running
	ready     atomic.Int32                 // a readyState
	pages     pages
	tokens    token.Signer
	reminder  reminder
	fetcher   atomic.Pointer[crlfetch.Fetcher] // nil: no CRL is fetched
	reloaded  chan struct{}                    // wakes the watcher
	returning atomic.Bool                      // memory is to be returned
}

func init() {
	audit.OfServer = func(server any) *audit.Logger { return server.(*Server).events }
	useredit.OfServer = func(server any) (*useredit.File, error) {
		s := server.(*Server)
		return useredit.OfGeneration(s.path, s.currentGeneration())
	}
}

// Open reads a configuration file and all files that it names. It opens no port. The error
// joins every configuration error; see configerror.All.
func Open(path string, options Options) (*Server, error) { return open(nil, path, options) }

// OpenFS is Open for files of another file system, such as an embed.FS.
func OpenFS(fsys fs.FS, path string, options Options) (*Server, error) {
	return open(fsys, path, options)
}

func open(fsys fs.FS, path string, options Options) (*Server, error) {
	s := &Server{path: path, fsys: fsys, options: options, reloaded: make(chan struct{}, 1)}
	s.events = audit.New(options.Log, &s.generation)
	g, err := s.first()
	if err != nil {
		return nil, err
	}
	if err := s.checkOptions(g); err != nil {
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
	s.setCurrent(g)
	s.useTokenKey(g)
	for _, w := range site.Weakened(site.GODEBUG()) {
		s.events.LogWarnings([]configerror.Finding{{What: w}})
	}
	if s.pinned != nil {
		s.events.LogGeneration(&s.pinned.Manifest)
	}
	s.events.LogWarnings(g.Warnings)
	s.reminder.server = s
	s.reminder.log()
	if err := s.openPages(g); err != nil {
		return nil, err
	}
	remindToRun(weak.Make(s), 0, runWithin)
	return s, nil
}

// currentGeneration returns the generation that is in effect.
func (s *Server) currentGeneration() *site.Generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

func (s *Server) portConfig(p site.Port) ports.Config {
	c := p.Config
	counts := s.countsOf(c.Name)
	c.OnHandshake = func(h ports.Handshake) {
		counts.countHandshake(&h)
		s.events.LogHandshake(h)
		if s.options.OnHandshake != nil {
			s.options.OnHandshake(h)
		}
	}
	c.OnClosed = s.events.LogClosed
	program := s.options.program()
	program.AddCertificate(&c)
	if listen := s.options.Listen; listen != nil {
		c.Listen = func(ctx context.Context, addr string) (net.Listener, error) { return listen(ctx, c.Name, addr) }
	}
	return c
}

// observe counts, logs and reports a decision. An Outcome has 300 bytes, which each call by
// value would add twice to the stack of a request.
func (s *Server) observe(r *http.Request, o *middleware.Outcome) {
	if c := s.countsOf(o.Port); c != nil {
		c.countDecision(o.Allowed, o.Reason)
	}
	s.events.LogDecision(r, o, s.nearestMapping)
	if s.options.Observe != nil {
		s.report(r, o)
	}
}

// report calls the program's own function.
//
//go:noinline // see observe
func (s *Server) report(r *http.Request, o *middleware.Outcome) { s.options.Observe(r, *o) }

// Guard returns the guard of the configuration. Reloads reconfigure it, and do not replace
// it.
func (s *Server) Guard() *middleware.Guard { return s.guard }

// Ports returns the ports of the configuration, in the order of the file. Reloads
// reconfigure them, and do not replace them. The slice must not be changed.
func (s *Server) Ports() []*ports.Port { return s.ports }

// Handler returns a handler for all ports of the configuration, which calls next for requests
// that the guard allows. Requests of a port with a tunnel go to the tunnel instead of next, and
// servers register at a registration port. A program that serves it with an http.Server of its
// own calls Run too.
func (s *Server) Handler(next http.Handler) http.Handler {
	s.handler.Store(&next)
	return s.dispatch(next)
}
