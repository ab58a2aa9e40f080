package mtlsguard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/source"
)

// Reload reads all files again, and applies them together or not at all: after any error
// the last good configuration stays in effect. To change the name, address or mode of a
// port, or the number of ports, is an error; see ports.ErrRestart. Reload does not wait for
// a reload of the watcher, but takes its place.
func (s *Server) Reload() error {
	defer s.events.Flush() // without a lock: the log holds the result before the caller knows it
	s.mu.Lock()
	s.requests++ // from here on the watcher begins no reload
	if s.stopLook != nil {
		s.stopLook()
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.requests--
		s.mu.Unlock()
	}()
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.reload(context.Background(), true, unchanged)
}

// reload reads the files and applies them. The caller holds s.reading. Only reload changes
// s.current and s.tried, therefore it may read them without s.mu.
func (s *Server) reload(ctx context.Context, all bool, stable func(*fileset.Reader) bool) error {
	defer s.retryRefused()
	g, read, err := s.read(ctx, s.tried, s.pinned, all, stable)
	if ctx.Err() != nil {
		return ctx.Err() // Reload takes over, or the server ends: this result means nothing
	}
	if err == nil {
		err = s.apply(g)
	}
	if err != nil {
		read.Read.Drop()
		s.returnMemory(read)
		s.setFailed(read, err)
		return fmt.Errorf("mtlsguard: the last good configuration stays in effect: %w", err)
	}
	s.events.LogEvent("reload", "configuration in effect", "ok")
	s.events.LogWarnings(g.Warnings)
	s.reminder.log()
	return nil
}

// read loads a generation from files that stay the same while they are read: otherwise the
// mapping of one state could meet the policy of another. Files that have not changed since the
// reading last are not read again, unless all is set. pinned is mounted all the time, if it is not
// nil. It returns the files also with an error.
func (s *Server) read(ctx context.Context, last *fileset.Reader, pinned *source.Generation, all bool, stable func(*fileset.Reader) bool) (*site.Generation, *fileset.Reader, error) {
	const rounds = 10
	program := s.options.program()
	program.OnUpstreamFailure, program.OnUpstreamHealth = s.events.LogUpstream, s.events.LogUpstreamHealth
	program.Generation, program.Tokens = pinned, &s.tokens
	for round := 1; ; round++ {
		f := last.Next(all)
		remount(f, pinned)
		last = f
		g, err := site.Load(ctx, s.path, f, s.current, s.options.Now, program)
		if stable(f) {
			return g, f, err
		}
		if round == rounds {
			err = &configerror.Error{File: s.path, What: "the files change while they are read", Hint: "reload again when they are written"}
			return nil, f, err
		}
	}
}

func unchanged(f *fileset.Reader) bool { return !f.Changed() }

// apply puts a loaded generation into effect. It neither reads a file nor uses the network.
func (s *Server) apply(g *site.Generation) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.applied++
	if err := s.swap(g); err != nil {
		return err
	}
	s.setCurrent(g)
	return nil
}

// swap reconfigures the guard, and then the ports. The guard comes first, and changes
// with one pointer: every decision from then on is one of the new generation. The ports
// apply it to new handshakes, and close connections that it does not trust.
func (s *Server) swap(g *site.Generation) error {
	if err := s.checkRestart(g); err != nil {
		return err
	}
	if err := s.checkServed(g); err != nil {
		return err
	}
	if err := s.checkPages(g); err != nil {
		return err
	}
	config, err := s.guardConfig(g, s.generation.Load()+1)
	if err != nil {
		return err
	}
	if err := s.guard.Reconfigure(config); err != nil {
		return err
	}
	s.useTokenKey(g)
	errs := []error{s.swapGateway(g)}
	for i, p := range g.Ports {
		if old := s.current.Ports[i]; old.Same(p) {
			continue
		}
		errs = append(errs, s.ports[i].Reconfigure(s.portConfig(p)))
		if p.Registration != nil && p.CertificateDigest != s.current.Ports[i].CertificateDigest {
			s.gateway.Renew()
		}
	}
	errs = append(errs, s.swapTunnels(g))
	s.retireUpstreams(g)
	return errors.Join(errs...)
}

// restartError is the error of checkRestart: configuration errors for people, and
// ports.ErrRestart for programs.
type restartError struct{ error }

func (r restartError) Unwrap() []error { return []error{r.error, ports.ErrRestart} }

// checkRestart rejects changes that open ports and tunnels cannot make. It sorts the ports
// of g as those of the current generation: their order in the file has no meaning.
func (s *Server) checkRestart(g *site.Generation) error {
	order := make(map[string]int, len(s.current.Ports))
	for i, p := range s.current.Ports {
		order[p.Config.Name] = i + 1
	}
	slices.SortStableFunc(g.Ports, func(a, b site.Port) int {
		// New names come last.
		return cmp.Compare(uint(order[a.Config.Name]-1), uint(order[b.Config.Name]-1))
	})
	var wrong errorlist.List
	reject := func(line int, what string) {
		wrong.Add(configerror.Error{File: s.path, Line: line, What: what + ": this needs a restart", Hint: "restart the server, or undo the change"})
	}
	if len(g.Ports) != len(s.current.Ports) {
		reject(0, fmt.Sprintf("the file had %d ports, now it has %d", len(s.current.Ports), len(g.Ports)))
	} else {
		for _, p := range g.Ports {
			i := order[p.Config.Name] - 1
			if i < 0 {
				reject(p.Line, fmt.Sprintf("port %q is new", p.Config.Name))
				continue
			}
			if (p.Decision == nil) != (s.current.Ports[i].Decision == nil) {
				// Fail closed: a gateway that still asks would take the answer to its own request for a decision
				// about its client's.
				reject(p.Line, fmt.Sprintf("port %q: answer was added or removed", p.Config.Name))
			}
			switch old := s.current.Ports[i].Config; {
			case p.Config.Addr != old.Addr:
				reject(p.Line, fmt.Sprintf("port %q: listen was %q, now it is %q", old.Name, old.Addr, p.Config.Addr))
			case p.Config.ClientAuth != old.ClientAuth:
				reject(p.Line, fmt.Sprintf("port %q: client_cert was %q, now it is %q", old.Name, old.ClientAuth, p.Config.ClientAuth))
			}
		}
	}
	s.checkTunnelRestart(g, reject)
	if wrong.Len() == 0 {
		return nil
	}
	return restartError{wrong.Err()}
}

// largeLoad is the size of parsed files, in bytes, after which memory is returned. Returning it
// is a collection, which takes 50 ms of processor time with a million mappings.
const largeLoad = 8 << 20

// returnMemory returns what was needed to parse large files to the operating system, in the
// background. Otherwise the heap stays at twice its size after the next collection, and above
// until then: 330 MiB are resident with a million mappings and 100,000 rules, and 150 MiB with it.
func (s *Server) returnMemory(f *fileset.Reader) {
	if s.parsed += f.Loaded(); s.parsed < largeLoad {
		return
	}
	s.parsed = 0
	if !s.returning.CompareAndSwap(false, true) {
		return // it is due already
	}
	wait := s.running.Load() && runtime.GOMAXPROCS(0) == 1
	go func() {
		if wait {
			s.waitForFewRequests()
		}
		s.returning.Store(false) // before: what is parsed from here on may come too late for this time
		debug.FreeOSMemory()
	}()
}

// fewRequests is how many requests may come in a second in which memory is returned.
const fewRequests = 10

// waitForFewRequests waits for a second with few requests, or for the end of the server. It is for a
// single processor: returning 170 MiB occupies a processor for 15 ms, and nothing interrupts it, so
// every request would wait. While many requests come, the next collection comes soon, and then Go
// returns the memory slowly: some 300 MiB remain resident.
func (s *Server) waitForFewRequests() {
	for before := s.decisions(); s.running.Load(); {
		time.Sleep(time.Second)
		now := s.decisions()
		if now-before < fewRequests {
			return
		}
		before = now
	}
}
