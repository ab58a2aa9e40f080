package mtlsguard

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Status is how a Server is doing.
type Status struct {
	Generation uint64               // of the configuration in force
	Since      time.Time            // when it came into force
	NotReady   []string             // why nobody should be sent here; empty when the server is ready
	Failed     []*configerror.Error // of the last reload; empty when what was read last is in force
	Dropped    uint64               // log lines that the log was too slow for
	Shadow     ShadowStatus
	Ports      []PortStatus // the tunnels of reverse, as one, come last
	// Gateways is how many tunnels each gateway sends requests through that this server
	// dials; nil where it dials none.
	Gateways map[string]int
	// Services is how many tunnels there are for each service to which a port's requests
	// go; nil where servers cannot register.
	Services map[string]int
}

// ShadowStatus is what came of Options.ShadowEvery since the configuration in force is.
type ShadowStatus struct {
	Checked   uint64 // decisions that Casbin was asked about again
	Different uint64 // of these: a defect of ours
	LeftOut   uint64 // of the sample, because Casbin was too slow
}

// Ready reports whether callers should be sent here: every port is open, what the
// files say is in force, no CRL that is needed is out of date, and there is a tunnel
// where requests come or go through tunnels.
func (s Status) Ready() bool { return len(s.NotReady) == 0 }

// PortStatus is one port's part of it.
type PortStatus struct {
	Name        string
	Connections int
	FreshUntil  time.Time // the earliest next update of its CRLs; zero where none is needed
	Allowed     uint64
	Refused     map[reason.Reason]uint64 // requests, by reason
	Handshakes  map[reason.Reason]uint64 // refused ones, by reason
	Failed      uint64                   // handshakes that the client or the network ended
}

// counts are a port's counters. They are exact, whatever the log leaves out.
type counts struct {
	port                string
	allowed, failed     atomic.Uint64
	refused, handshakes [32]atomic.Uint64 // by the reason's place in the list
}

var reasons = reason.All()

// place is a reason's place in the list. One that is not of the list counts as the
// last, which every reason of ours comes before.
func placeOf(r reason.Reason) int {
	if i := slices.Index(reasons, r); i >= 0 {
		return i
	}
	return len(counts{}.refused) - 1
}

func byReason(all *[32]atomic.Uint64) map[reason.Reason]uint64 {
	out := map[reason.Reason]uint64{}
	for i, r := range reasons {
		if n := all[i].Load(); n > 0 {
			out[r] = n
		}
	}
	return out
}

func (c *counts) decided(allowed bool, r reason.Reason) {
	if allowed {
		c.allowed.Add(1)
	} else {
		c.refused[placeOf(r)].Add(1)
	}
}

func (c *counts) shook(h *ports.Handshake) {
	switch {
	case h.Reason != "":
		c.handshakes[placeOf(h.Reason)].Add(1)
	case h.Err != nil:
		c.failed.Add(1)
	}
}

// mistakes are those in an error, copied: what the caller does with them is its own.
func (s *Server) mistakes(err error) []*configerror.Error {
	var out []*configerror.Error
	for _, m := range configerror.All(err) {
		out = append(out, new(*m))
	}
	if err != nil && len(out) == 0 {
		out = []*configerror.Error{{File: s.path, What: err.Error()}}
	}
	return out
}

// Status tells how the server is doing. It takes locks, none of which a reload or
// the log holds for long, and is not for every request.
func (s *Server) Status() Status {
	s.mu.Lock()
	out := Status{Generation: s.number.Load(), Since: s.since, Failed: s.mistakes(s.failed), Dropped: s.events.Dropped()}
	current, failed := s.current, s.failed
	s.mu.Unlock()
	if shadow := s.shadow.Load(); shadow != nil {
		out.Shadow.Checked, out.Shadow.Different, out.Shadow.LeftOut = shadow.Counts()
	}
	switch {
	case s.serving.Load():
	case len(s.ports) == 0:
		out.NotReady = append(out.NotReady, "it does not serve")
	default:
		out.NotReady = append(out.NotReady, "the ports are not open")
	}
	if failed != nil {
		out.NotReady = append(out.NotReady, "the last reload failed")
	}
	now := s.options.now()
	s.tunnelStatus(current, &out)
	for i, p := range current.AllPorts() {
		c := s.countsOf(p.Config.Name)
		ps := PortStatus{
			Name: c.port, Allowed: c.allowed.Load(), Failed: c.failed.Load(),
			Refused: byReason(&c.refused), Handshakes: byReason(&c.handshakes), FreshUntil: p.FreshUntil(),
		}
		if i < len(s.ports) {
			ps.Connections = s.ports[i].ConnCount()
		} else {
			for _, n := range out.Gateways {
				ps.Connections += n
			}
		}
		if !ps.FreshUntil.IsZero() && now.After(ps.FreshUntil) {
			out.NotReady = append(out.NotReady, fmt.Sprintf("port %s: a CRL was to be replaced by %s", c.port, ps.FreshUntil.UTC().Format(time.RFC3339)))
		}
		out.Ports = append(out.Ports, ps)
	}
	return out
}

// Readiness answers 200 when the server is ready, and 503 with the reasons. It is
// for an address that callers cannot reach: it is not guarded.
func (s *Server) Readiness() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		status := s.Status()
		if !status.Ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		for _, why := range status.NotReady {
			fmt.Fprintln(w, why)
		}
		if status.Ready() {
			fmt.Fprintln(w, "ready")
		}
	})
}
