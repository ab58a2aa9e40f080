package mtlsguard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
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
	s.events.LogWarnings(g.Warnings)
	return nil
}

// read loads everything from files that stay the same while they are read, so that
// the mapping of one state never meets the policy of another. The files come back
// also with an error.
func (s *Server) read(ctx context.Context, stable func(*fileset.Reader) bool) (*site.Generation, *fileset.Reader, error) {
	const rounds = 10
	for round := 1; ; round++ {
		f := fileset.New(s.fsys)
		g, err := site.Load(ctx, s.path, f, s.current, s.options.Now)
		if stable(f) {
			return g, f, err
		}
		if round == rounds {
			err = &configerror.Error{File: s.path, What: "the files change while they are read", Hint: "try again when they are written"}
			return nil, f, err
		}
	}
}

func unchanged(f *fileset.Reader) bool { return !f.Changed() }

// swap puts a checked generation in force: the guard's one pointer first, so that
// every decision from here on is the new generation's; then the ports, for the
// handshakes to come and the connections that are not believed any more.
func (s *Server) swap(g *site.Generation) error {
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
	return errors.Join(errs...)
}

// restart is what fixed answers: mistakes for people, ports.ErrRestart for programs.
type restart struct{ error }

func (r restart) Unwrap() []error { return []error{r.error, ports.ErrRestart} }

// fixed refuses what an open port cannot change. The order of ports in the file
// means nothing.
func (s *Server) fixed(g *site.Generation) error {
	order := make(map[string]int, len(s.current.Ports))
	for i, p := range s.current.Ports {
		order[p.Config.Name] = i + 1
	}
	slices.SortStableFunc(g.Ports, func(a, b site.Port) int {
		// Names that are new come last.
		return cmp.Compare(uint(order[a.Config.Name]-1), uint(order[b.Config.Name]-1))
	})
	var wrong errorlist.List
	say := func(line int, what string) {
		wrong.Add(configerror.Error{File: s.path, Line: line, What: what + ": " + ports.ErrRestart.Error(), Hint: "restart the server, or take the change back"})
	}
	if len(g.Ports) != len(s.current.Ports) {
		say(0, fmt.Sprintf("there were %d ports, now there are %d", len(s.current.Ports), len(g.Ports)))
	} else {
		for i, p := range g.Ports {
			switch old := s.current.Ports[i].Config; {
			case p.Config.Name != old.Name:
				say(p.Line, fmt.Sprintf("port %s is now called %s", old.Name, p.Config.Name))
			case p.Config.Addr != old.Addr:
				say(p.Line, fmt.Sprintf("port %s was at %s, now at %s", old.Name, old.Addr, p.Config.Addr))
			case p.Config.ClientAuth != old.ClientAuth:
				say(p.Line, fmt.Sprintf("port %s had client_cert %s, now %s", old.Name, old.ClientAuth, p.Config.ClientAuth))
			}
		}
	}
	s.fixedReverse(g, func(line int, what string) {
		wrong.Add(configerror.Error{File: s.path, Line: line, What: what + ": this needs a restart", Hint: "restart the server, or take the change back"})
	})
	if wrong.Len() == 0 {
		return nil
	}
	return restart{wrong.Err()}
}
