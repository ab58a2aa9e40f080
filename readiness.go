package mtlsguard

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/site"
)

// ReadinessOption is an option of Server.Readiness.
type ReadinessOption int

// Strict makes Readiness answer 503 also if the server is degraded.
const Strict ReadinessOption = 1

// Readiness returns a handler for readiness probes. It answers 200 if the server is ready,
// and 503 with the reasons otherwise. The body also has the lines of Status.Degraded, which
// do not change the status without Strict. No guard protects the handler: serve it on an
// address that callers cannot reach.
func (s *Server) Readiness(options ...ReadinessOption) http.Handler {
	strict := slices.Contains(options, Strict)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		status := s.Status()
		if status.Ready() && (len(status.Degraded) == 0 || !strict) {
			fmt.Fprintln(w, "ready")
		} else {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		for _, why := range status.NotReady {
			fmt.Fprintln(w, why)
		}
		for _, what := range status.Degraded {
			fmt.Fprintln(w, "degraded: "+what)
		}
	})
}

// degraded returns what is wrong with a server that serves requests.
func degraded(g *site.Generation, failed *reloadFailure, now time.Time) []string {
	var out []string
	if failed.counts(now) {
		out = append(out, "the last reload failed")
	}
	for _, p := range g.AllPorts() {
		if until := p.FreshUntil(); !until.IsZero() && now.After(until) {
			out = append(out, fmt.Sprintf("port %s: a CRL is past its next update, %s", p.Config.Name, until.UTC().Format(time.RFC3339)))
		}
	}
	return out
}

// logDegraded logs what has begun and what has ended since the last call. It returns what
// is degraded now, for the next call.
func (s *Server) logDegraded(before []string) []string {
	s.mu.Lock()
	current, failed := s.current, s.failed
	s.mu.Unlock()
	now := degraded(current, failed, s.options.now())
	for _, what := range now {
		if !slices.Contains(before, what) {
			s.events.LogDegraded(what, true)
		}
	}
	for _, what := range before {
		if !slices.Contains(now, what) {
			s.events.LogDegraded(what, false)
		}
	}
	return now
}
