package mtlsguard

import (
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/statussocket"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Status is the state of a Server.
type Status struct {
	Generation uint64               // of the current configuration
	Since      time.Time            // when it took effect
	NotReady   []string             // why requests cannot be served; empty if the server is ready
	Degraded   []string             // what is wrong while requests are served; it does not change Ready
	Failed     []*configerror.Error // of the last reload; empty if it succeeded
	Dropped    uint64               // log lines that were dropped because the log was too slow, or failed
	// Shadow counts the comparisons of Options.ShadowEvery since the configuration took effect.
	Shadow struct {
		Checked   uint64 // decisions that were compared with Casbin's
		Different uint64 // of these, decisions that differ: a defect of this library
		LeftOut   uint64 // decisions that were not compared because Casbin was too slow
	}
	Ports []PortStatus // in the order of the file; the tunnels to gateways come last, as one
	// Gateways is the number of open tunnels to each gateway that this server dials. nil if
	// it dials none.
	Gateways map[string]int
	// Services is the number of registered tunnels of each service to which a port sends
	// requests. nil if servers cannot register.
	Services map[string]int
	// Source is the state of the source of the fleet. nil: all files are on disk. It does not
	// change Ready.
	Source *SourceStatus
}

// Ready reports whether the server can serve requests: Serve or Run is running, every port is
// open, and there is a tunnel if requests come or go through tunnels. A server whose last
// reload failed, or whose CRL is late, is ready and degraded: a typo in a file that all servers
// share must not take all of them out of service.
func (s Status) Ready() bool { return len(s.NotReady) == 0 }

// PortStatus is the state of one port. The counters start at Open.
type PortStatus struct {
	Name        string
	Connections int
	FreshUntil  time.Time                // the earliest next update of the CRLs that are needed; zero if none is
	Allowed     uint64                   // requests
	Refused     map[reason.Reason]uint64 // requests, by reason
	Handshakes  map[reason.Reason]uint64 // refused handshakes, by reason
	Failed      uint64                   // handshakes that the client or the network ended
}

// configErrors returns copies of the configuration errors in err: the caller of Status may
// change them.
func (s *Server) configErrors(err error) []*configerror.Error {
	var out []*configerror.Error
	for _, m := range configerror.All(err) {
		out = append(out, new(*m))
	}
	if err != nil && len(out) == 0 {
		out = []*configerror.Error{{File: s.path, What: err.Error()}}
	}
	return out
}

// Status returns the state of the server. It waits neither for a reload nor for the log. It
// takes locks: do not call it for every request.
func (s *Server) Status() Status {
	s.mu.Lock()
	out := Status{Generation: s.generation.Load(), Since: s.since, Dropped: s.events.Dropped()}
	current, failed := s.current, s.failed
	s.mu.Unlock()
	now := s.options.now()
	if failed.counts(now) {
		out.Failed = s.configErrors(failed.err)
	}
	out.Degraded = s.degraded(current, failed, now)
	if shadow := s.shadow.Load(); shadow != nil {
		out.Shadow.Checked, out.Shadow.Different, out.Shadow.LeftOut = shadow.Counts()
	}
	out.NotReady = s.notReady()
	out.Source = s.sourceStatus()
	s.addTunnelStatus(current, &out)
	s.addUpstreamStatus(current, &out)
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
		out.Ports = append(out.Ports, ps)
	}
	return out
}

// Connections describes the open connections of all ports, the oldest first. The tunnels of
// registered servers are among them; those that this server dials are not. It looks at every
// connection: do not call it for every request.
func (s *Server) Connections() []ports.ConnInfo {
	var out []ports.ConnInfo
	for _, p := range s.ports {
		out = append(out, p.Connections()...)
	}
	slices.SortStableFunc(out, func(a, b ports.ConnInfo) int { return a.Since.Compare(b.Since) })
	return out
}

// CloseConnection ends the connection with an ID; see ports.Port.CloseConnection. It returns
// false if no port has it.
func (s *Server) CloseConnection(id uint64) bool {
	return slices.ContainsFunc(s.ports, func(p *ports.Port) bool { return p.CloseConnection(id) })
}

// counts holds the counters of one port. They are exact, also when log lines are sampled.
type counts struct {
	port                string
	allowed, failed     atomic.Uint64
	refused, handshakes [32]atomic.Uint64 // refusals, by the index of the reason in reasons
}

var reasons = reason.All()

// indexOf returns the index of a reason in the counters. Unknown reasons share the last
// index, which no known reason has.
func indexOf(r reason.Reason) int {
	if i := slices.Index(reasons, r); i >= 0 {
		return i
	}
	return len(counts{}.refused) - 1
}

// byReason returns the counters that are not zero.
func byReason(all *[32]atomic.Uint64) map[reason.Reason]uint64 {
	out := map[reason.Reason]uint64{}
	for i, r := range reasons {
		if n := all[i].Load(); n > 0 {
			out[r] = n
		}
	}
	return out
}

func (c *counts) countDecision(allowed bool, r reason.Reason) {
	if allowed {
		c.allowed.Add(1)
	} else {
		c.refused[indexOf(r)].Add(1)
	}
}

func (c *counts) countHandshake(h *ports.Handshake) {
	switch {
	case h.Reason != "":
		c.handshakes[indexOf(h.Reason)].Add(1)
	case h.Err != nil:
		c.failed.Add(1)
	}
}

// countsOf returns the counters of a port. It scans: a linear scan beats a map for a
// handful of ports.
func (s *Server) countsOf(port string) *counts {
	for _, c := range s.counts {
		if c.port == port {
			return c
		}
	}
	return nil
}

// openStatusSocket opens the socket of Options.StatusSocket, and returns what closes it.
func (s *Server) openStatusSocket() (closeSocket func(), err error) {
	if s.options.StatusSocket == "" {
		return func() {}, nil
	}
	socket, err := statussocket.Listen(s.options.StatusSocket, s.statusReport)
	if err != nil {
		return nil, err
	}
	return socket.Close, nil
}

// statusReport returns what the socket answers: Status, and the ends of certificates and CRLs.
func (s *Server) statusReport() *statussocket.Report {
	status := s.Status()
	out := &statussocket.Report{
		At: s.options.now().UTC(), PID: os.Getpid(), Config: s.path, Ready: status.Ready(), NotReady: status.NotReady, Degraded: status.Degraded,
		Generation: status.Generation, Since: status.Since.UTC(), Ports: []statussocket.Port{}, Ends: []statussocket.End{},
		Gateways: status.Gateways, Services: status.Services, LogDropped: status.Dropped, Source: sourceReport(status.Source),
	}
	for _, e := range status.Failed {
		out.Failed = append(out.Failed, statussocket.ConfigError(*e))
	}
	if s.options.ShadowEvery > 0 {
		out.Shadow = new(statussocket.Shadow(status.Shadow))
	}
	for i, p := range status.Ports {
		port := statussocket.Port{Name: p.Name, Connections: p.Connections, Allowed: p.Allowed, Refused: p.Refused, Handshakes: p.Handshakes, Failed: p.Failed}
		if i < len(s.ports) && s.ports[i].Addr() != nil {
			port.Addr = s.ports[i].Addr().String()
		}
		out.Ports = append(out.Ports, port)
	}
	fetcher := s.fetcher.Load()
	for _, e := range s.currentGeneration().Ends() {
		end := statussocket.End{What: e.What, At: e.At.UTC(), File: e.File}
		if e.Fetched && fetcher != nil {
			if p := fetcher.Progress(e.File); !p.NextTry.IsZero() {
				end.NextFetch = new(p.NextTry.UTC())
				if !p.LastSuccess.IsZero() {
					end.LastFetched = new(p.LastSuccess.UTC())
				}
			}
		}
		out.Ends = append(out.Ends, end)
	}
	return out
}
