package mtlsguard

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// Serve opens every port, dials every gateway, and watches the files that the
// configuration names, until ctx ends. Then it drains; see ports.Server. The guard protects
// h on every port. Requests of a port with a tunnel go to the tunnel instead of h. With a
// registration port, Serve can be called once only.
func (s *Server) Serve(ctx context.Context, h http.Handler) error {
	if f, ok := h.(http.HandlerFunc); (h == nil || ok && f == nil) && s.callsHandler() {
		return errors.New("mtlsguard: Serve needs a handler: a port of " + s.path + " has no tunnel, and its requests go to the handler")
	}
	closeStatus, err := s.openStatusSocket()
	if err != nil {
		return err
	}
	defer closeStatus()
	tunnels, err := s.openTunnels(h)
	if err != nil {
		return err
	}
	background, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { s.watch(background) })
	running.Go(func() { s.remind(background) })
	defer s.events.Flush()
	defer s.events.LogSuppressed(0)
	defer running.Wait()
	defer stop()
	waitForGateway := func() {}
	server := &ports.Server{
		Handler: s.dispatch(h), Ports: s.ports, ErrorLog: s.events.HTTPErrorLog(),
		Ready: func() {
			s.serving.Store(true)
			s.events.LogEvent("ready", "ready", "ok")
			s.events.Flush() // warnings of the start are written before the first caller comes
			if s.options.Ready != nil {
				s.options.Ready()
			}
		},
		Draining: func() {
			s.serving.Store(false)
			s.events.LogEvent("drain", "draining", "ok")
			waitForGateway = s.shutDownGateway()
		},
	}
	err = s.run(ctx, server, tunnels)
	waitForGateway()
	return err
}

// callsHandler reports whether requests go to the handler of Serve, and not only to tunnels.
func (s *Server) callsHandler() bool {
	g := s.currentGeneration()
	return g.Tunnel != nil || slices.ContainsFunc(g.Ports, func(p site.Port) bool { return p.Registration == nil && p.Tunnel == nil })
}

// run serves on every port and through every tunnel until ctx ends or one of them fails.
func (s *Server) run(ctx context.Context, server *ports.Server, tunnels *reverse.Server) error {
	if tunnels == nil {
		return server.Serve(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var dialling sync.WaitGroup
	var tunnelErr error
	dialling.Go(func() {
		defer cancel()
		tunnelErr = tunnels.Serve(ctx)
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
	return errors.Join(err, tunnelErr)
}
