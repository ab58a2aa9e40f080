package mtlsguard

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/internal/site"
)

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
