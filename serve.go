package mtlsguard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// Serve opens every port, and does what Run does, until ctx ends. Then it drains; see
// ports.Server. The guard protects h on every port. Requests of a port with a tunnel or an
// upstream go there instead of h; h may be nil if every port has one of them. With a registration port, Serve can be called once only.
func (s *Server) Serve(ctx context.Context, h http.Handler) error {
	if f, ok := h.(http.HandlerFunc); h == nil || ok && f == nil {
		s.noHandler.Store(true) // before the check: a reload may come meanwhile
		if err := s.checkServed(s.currentGeneration()); err != nil {
			return fmt.Errorf("mtlsguard: Serve needs a handler, or an upstream for every port: %w", err)
		}
		h = http.HandlerFunc(notServed)
	}
	tunnels, end, err := s.begin(ctx, h)
	if err != nil {
		return err
	}
	defer end()
	waitForGateway := func() {}
	server := &ports.Server{
		Handler: s.dispatch(h), Ports: s.ports, ErrorLog: s.events.HTTPErrorLog(),
		Ready: func() {
			s.setReady(readyServe)
			s.events.LogEvent("ready", "ready", "ok")
			s.events.Flush() // warnings of the start are written before the first caller comes
			if s.options.Ready != nil {
				s.options.Ready()
			}
		},
		Draining: func() { waitForGateway = s.drain() },
	}
	err = s.run(ctx, server, tunnels)
	waitForGateway()
	return err
}

// Run does all that a server does beside its ports, until ctx ends: it watches the files,
// fetches CRLs, logs what is about to expire, opens the status socket, and dials the gateways
// of reverse. It is for programs that serve Ports with an http.Server of their own; Serve does
// the same and opens the ports. The server is ready while Run runs and every port is open.
//
// When ctx ends, Run drains the tunnels of registered servers, and returns: call Shutdown of
// the http.Server at the same time. Requests that come through reverse go to the handler of
// the last call of Handler: with reverse, call Handler before Run.
func (s *Server) Run(ctx context.Context) error {
	h := s.handler.Load()
	if s.currentGeneration().Tunnel != nil && h == nil {
		return errors.New("mtlsguard: Run needs a handler for the requests that come through reverse of " + s.path + ": call Server.Handler before Run")
	}
	if h == nil {
		h = new(http.Handler)
	}
	tunnels, end, err := s.begin(ctx, *h)
	if err != nil {
		return err
	}
	defer end()
	s.setReady(readyRun)
	waitForGateway := func() {}
	server := &ports.Server{Ready: func() {}, Draining: func() { waitForGateway = s.drain() }}
	err = s.run(ctx, server, tunnels)
	waitForGateway()
	return err
}

// begin starts what runs beside the ports. end stops it, and waits until the log is written.
func (s *Server) begin(ctx context.Context, h http.Handler) (tunnels *reverse.Server, end func(), err error) {
	if !s.running.CompareAndSwap(false, true) {
		return nil, nil, errors.New("mtlsguard: the server is running already: call either Run or Serve, once; Serve includes Run")
	}
	defer func() {
		if err != nil {
			s.running.Store(false)
		}
	}()
	if err := s.checkPages(s.currentGeneration()); err != nil {
		return nil, nil, err
	}
	unlockKeep, err := s.lockKeep()
	if err != nil {
		return nil, nil, err
	}
	closeStatus, err := s.openStatusSocket()
	if err != nil {
		unlockKeep()
		return nil, nil, err
	}
	if tunnels, err = s.openTunnels(h); err != nil {
		closeStatus()
		unlockKeep()
		return nil, nil, err
	}
	background, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { s.watch(background) })
	running.Go(func() { s.remind(background) })
	running.Go(func() { s.checkUpstreams(background) })
	if s.follower != nil {
		running.Go(func() { s.follower.Run(background) })
	}
	return tunnels, func() {
		s.setReady(readyNot)
		stop()
		running.Wait()
		unlockKeep()
		s.events.LogSuppressed(0)
		s.events.Flush()
		closeStatus()
		s.running.Store(false)
	}, nil
}

// lockKeep locks the folder keep while the server follows its source.
func (s *Server) lockKeep() (unlock func(), err error) {
	if s.follower == nil {
		return func() {}, nil
	}
	if unlock, err = s.follower.Lock(); err != nil {
		return nil, s.sourceError(s.currentGeneration().Source, err)
	}
	return unlock, nil
}

// drain reports that the server begins to stop, and starts to drain the tunnels of registered
// servers. The returned function waits for their end.
func (s *Server) drain() (wait func()) {
	s.setReady(readyNot)
	s.events.LogEvent("drain", "draining", "ok")
	if s.options.OnDrain != nil {
		s.options.OnDrain()
	}
	return s.shutDownGateway()
}

// run serves on every port of server and through every tunnel until ctx ends or one of them
// fails.
func (s *Server) run(ctx context.Context, server *ports.Server, tunnels *reverse.Server) error {
	if tunnels == nil && len(server.Ports) > 0 {
		return server.Serve(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var dialling sync.WaitGroup
	var tunnelErr error
	var connected <-chan struct{} // never without tunnels
	if tunnels != nil {
		connected = tunnels.Ready()
		dialling.Go(func() {
			defer cancel()
			tunnelErr = tunnels.Serve(ctx)
		})
	}
	var err error
	if len(server.Ports) > 0 {
		err = server.Serve(ctx)
	} else {
		select {
		case <-connected:
			server.Ready()
			<-ctx.Done()
		case <-ctx.Done():
		}
		server.Draining()
	}
	cancel()
	dialling.Wait()
	return errors.Join(err, tunnelErr)
}

// lookAtHealth is the time between two looks at which health checks are due.
const lookAtHealth = time.Second

// checkUpstreams checks the health of the services behind the ports until ctx ends.
func (s *Server) checkUpstreams(ctx context.Context) {
	tick := time.NewTicker(lookAtHealth)
	defer tick.Stop()
	for {
		var checks sync.WaitGroup
		for _, u := range s.currentGeneration().Upstreams() {
			checks.Go(func() { u.Check(ctx) })
		}
		checks.Wait()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// addUpstreamStatus adds the services that are not healthy to a Status.
func (*Server) addUpstreamStatus(g *site.Generation, out *Status) {
	for _, u := range g.Upstreams() {
		if why := u.Unhealthy(); why != "" {
			out.NotReady = append(out.NotReady, why)
		}
	}
}

// retireUpstreams closes the idle connections to services that g has no longer. Requests under
// way go on.
func (s *Server) retireUpstreams(g *site.Generation) {
	now := g.Upstreams()
	for _, u := range s.current.Upstreams() {
		if !slices.Contains(now, u) {
			u.CloseIdle()
		}
	}
}

// checkServed rejects ports without an upstream where the program has no handler for them.
func (s *Server) checkServed(g *site.Generation) error {
	if !s.noHandler.Load() {
		return nil
	}
	return g.CheckServed(s.path)
}

// notServed stands for the handler of a program that has none. No request reaches it.
func notServed(w http.ResponseWriter, r *http.Request) {
	problem.Failure(http.StatusInternalServerError).Write(w, r) // fail closed
}
