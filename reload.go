package mtlsguard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/mistake"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Reload reads everything again and puts it in force, all of it or nothing: with
// any mistake the last good state stays. A change of a port's name, address or
// mode, or of the number of ports, is a mistake; see ports.ErrRestart.
func (s *Server) Reload() error {
	err := s.reload(context.Background(), unchanged)
	s.events.Flush() // the log has said so when the caller knows
	return err
}

// reload is the only one that changes s.current, so that it reads it without s.mu.
func (s *Server) reload(ctx context.Context, stable func(*fileset.Reader) bool) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	g, read, err := s.read(ctx, stable)
	if err == nil {
		err = s.swap(g)
	}
	if err != nil {
		read.Read.Drop()
		s.mu.Lock()
		s.tried, s.failed = read, err
		s.mu.Unlock()
		s.events.LogReloadFailure(s.path, err)
		return fmt.Errorf("mtlsguard: the last good configuration stays in force: %w", err)
	}
	s.keep(g)
	s.events.LogEvent("reload", "configuration in force", "ok")
	s.events.LogWarnings(g.warnings)
	return nil
}

// read loads everything from files that stay the same while they are read, so that
// the mapping of one state never meets the policy of another. The files come back
// also with an error.
func (s *Server) read(ctx context.Context, stable func(*fileset.Reader) bool) (*generation, *fileset.Reader, error) {
	const rounds = 10
	for round := 1; ; round++ {
		f := fileset.New(s.fsys)
		g, err := load(ctx, s.path, f, s.current, s.options.Now)
		if stable(f) {
			return g, f, err
		}
		if round == rounds {
			err = &Mistake{File: s.path, What: "the files change while they are read", Hint: "try again when they are written"}
			return nil, f, err
		}
	}
}

func unchanged(f *fileset.Reader) bool { return !f.Changed() }

// swap puts a checked generation in force: the guard's one pointer first, so that
// every decision from here on is the new generation's; then the ports, for the
// handshakes to come and the connections that are not believed any more.
func (s *Server) swap(g *generation) error {
	if err := s.fixed(g); err != nil {
		return err
	}
	config, err := s.guardConfig(g, s.number.Load()+1)
	if err != nil {
		return err
	}
	if err := s.guard.Reconfigure(config); err != nil {
		return err
	}
	errs := []error{s.swapBelieved(g)}
	for i, p := range g.ports {
		if old := s.current.ports[i]; old.same(p) {
			continue
		}
		errs = append(errs, s.ports[i].Reconfigure(s.portConfig(p)))
		if p.registration != nil && p.certKey != s.current.ports[i].certKey {
			s.gateway.Renew()
		}
	}
	errs = append(errs, s.swapTunnels(g))
	return errors.Join(errs...)
}

// restart is what fixed answers: mistakes for people, ports.ErrRestart for programs.
type restart struct{ error }

func (r restart) Unwrap() []error { return []error{r.error, ports.ErrRestart} }

// fixed refuses what an open port cannot change. The order of ports in the file
// means nothing.
func (s *Server) fixed(g *generation) error {
	order := make(map[string]int, len(s.current.ports))
	for i, p := range s.current.ports {
		order[p.config.Name] = i + 1
	}
	slices.SortStableFunc(g.ports, func(a, b portGeneration) int {
		// Names that are new come last.
		return cmp.Compare(uint(order[a.config.Name]-1), uint(order[b.config.Name]-1))
	})
	var wrong mistake.List
	say := func(line int, what string) {
		wrong.Add(Mistake{File: s.path, Line: line, What: what + ": " + ports.ErrRestart.Error(), Hint: "restart the server, or take the change back"})
	}
	if len(g.ports) != len(s.current.ports) {
		say(0, fmt.Sprintf("there were %d ports, now there are %d", len(s.current.ports), len(g.ports)))
	} else {
		for i, p := range g.ports {
			switch old := s.current.ports[i].config; {
			case p.config.Name != old.Name:
				say(p.line, fmt.Sprintf("port %s is now called %s", old.Name, p.config.Name))
			case p.config.Addr != old.Addr:
				say(p.line, fmt.Sprintf("port %s was at %s, now at %s", old.Name, old.Addr, p.config.Addr))
			case p.config.ClientAuth != old.ClientAuth:
				say(p.line, fmt.Sprintf("port %s had client_cert %s, now %s", old.Name, old.ClientAuth, p.config.ClientAuth))
			}
		}
	}
	s.fixedReverse(g, func(line int, what string) {
		wrong.Add(Mistake{File: s.path, Line: line, What: what + ": this needs a restart", Hint: "restart the server, or take the change back"})
	})
	if wrong.Len() == 0 {
		return nil
	}
	return restart{wrong.Err()}
}
