package mtlsguard

import (
	"fmt"
	"net/http"
	"slices"
	"time"
	"weak"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/statussocket"
	"github.com/mtlsguard/mtlsguard/ports"
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

// readyState is how far a server is.
type readyState int32

const (
	readyNot   readyState = iota // before Serve and Run, and when they end
	readyServe                   // Serve has opened every port
	readyRun                     // Run is running; the program opens the ports
)

func (s *Server) setReady(r readyState) { s.ready.Store(int32(r)) }

// notReady returns why requests cannot be served, except for tunnels.
func (s *Server) notReady() []string {
	closed := slices.DeleteFunc(slices.Clone(s.ports), (*ports.Port).Listening)
	switch state := readyState(s.ready.Load()); {
	case state == readyServe:
		return nil
	case state == readyRun:
		var out []string
		for _, p := range closed {
			out = append(out, "port "+p.Name()+" is not open")
		}
		return out
	case len(s.ports) == 0 || len(closed) < len(s.ports):
		return []string{"neither Serve nor Run is running"}
	}
	return []string{"the ports are not open"}
}

// runWithin is the time that a program has from Open to Run or Serve.
const runWithin = time.Minute

// remindToRun logs an error after a while, and again from time to time, while a server decides
// about requests and neither Serve nor Run is running. seen is the number of decisions so far.
// The pointer is weak: a program may drop a server that it never used.
func remindToRun(p weak.Pointer[Server], seen uint64, after time.Duration) {
	time.AfterFunc(after, func() {
		s := p.Value()
		if s == nil {
			return
		}
		after, decisions := runWithin, s.decisions()
		if decisions > seen && !s.running.Load() {
			after = repeatFailure
			s.events.LogNotRunning(s.path)
		}
		remindToRun(p, decisions, after)
	})
}

// decisions returns the number of requests about which the guard has decided.
func (s *Server) decisions() uint64 {
	var n uint64
	for _, c := range s.counts {
		n += c.allowed.Load()
		for i := range c.refused {
			n += c.refused[i].Load()
		}
	}
	return n
}

// degraded returns what is wrong with a server that serves requests.
func (s *Server) degraded(g *site.Generation, failed *reloadFailure, now time.Time) []string {
	var out []string
	if failed.counts(now) {
		out = append(out, "the last reload failed")
	}
	for _, p := range g.AllPorts() {
		if until := p.FreshUntil(); !until.IsZero() && now.After(until) {
			out = append(out, fmt.Sprintf("port %s: a CRL is past its next update, %s", p.Config.Name, until.UTC().Format(time.RFC3339)))
		}
	}
	if s.sourceTooOld(g, now) {
		out = append(out, fmt.Sprintf("the source has not answered for max_age, %s", g.Source.MaxAge))
	}
	return out
}

// logDegraded logs what has begun and what has ended since the last call. It returns what
// is degraded now, for the next call.
func (s *Server) logDegraded(before []string) []string {
	s.mu.Lock()
	current, failed := s.current, s.failed
	s.mu.Unlock()
	now := s.degraded(current, failed, s.options.now())
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

// SourceStatus is the state of a server that follows a source.
type SourceStatus struct {
	Fleet     string
	Number    uint64    // of the generation in effect
	Author    string    // of that generation
	At        time.Time // when its author wrote it
	Heard     time.Time // when the source answered last; zero: not since the start
	Connected bool      // the source answered the last time
	Error     string    // why the source does not answer, or its generation is not used; empty if nothing is wrong
	Refused   uint64    // number of the newest generation, if this node refused it
	// RefusedErrors are why; see Status.Failed.
	RefusedErrors []*configerror.Error
}

// sourceTooOld reports whether the source has not answered for max_age. The time begins with the
// generation in effect if it never has.
func (s *Server) sourceTooOld(g *site.Generation, now time.Time) bool {
	if s.follower == nil || g.Source.MaxAge == 0 {
		return false
	}
	state := s.follower.State()
	last := state.Since
	if state.Heard.After(last) {
		last = state.Heard
	}
	return now.Sub(last) > g.Source.MaxAge
}

// sourceStatus returns the state of the source; nil without one.
func (s *Server) sourceStatus() *SourceStatus {
	if s.follower == nil {
		return nil
	}
	state := s.follower.State()
	m := state.InEffect.Manifest
	out := &SourceStatus{Fleet: m.Fleet, Number: m.Number, Author: m.Author, At: m.At, Heard: state.Heard, Connected: state.Connected}
	if state.Err != nil {
		out.Error = state.Err.Error()
	}
	if state.Refused != nil {
		out.Refused, out.RefusedErrors = state.Refused.Manifest.Number, s.configErrors(state.RefusedBy)
	}
	return out
}

// sourceReport returns what the status socket answers about the source.
func sourceReport(s *SourceStatus) *statussocket.Source {
	if s == nil {
		return nil
	}
	out := &statussocket.Source{Fleet: s.Fleet, Number: s.Number, Author: s.Author, At: s.At, Connected: s.Connected, Error: s.Error, Refused: s.Refused}
	if !s.Heard.IsZero() {
		out.Heard = new(s.Heard.UTC())
	}
	for _, e := range s.RefusedErrors {
		out.RefusedErrors = append(out.RefusedErrors, statussocket.ConfigError(*e))
	}
	return out
}
