package mtlsguard

import (
	"context"
	"errors"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/source"
)

func init() {
	fleetedit.OfServer = func(server any) *fleetedit.Node {
		s := server.(*Server)
		if s.follower == nil {
			return nil
		}
		return &fleetedit.Node{Path: s.path, Site: s.currentGeneration(), Source: s.from, Load: s.checkNext, Await: s.awaitGeneration}
	}
}

// checkNext loads a generation of the fleet as follow would, and puts nothing into effect.
func (s *Server) checkNext(ctx context.Context, g *source.Generation) (*site.Generation, []configerror.Finding, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	program := s.options.program()
	program.Generation = g
	files := s.tried.Next(false)
	remount(files, g)
	return site.CheckNext(ctx, s.path, files, s.current, s.options.Now, program)
}

const (
	awaitLook = 5 * time.Millisecond
	awaitTime = 10 * time.Second
)

// errNotHeard is the error of awaitGeneration for a source that does not bring a generation.
var errNotHeard = errors.New("this node has not got it from its source yet")

// awaitGeneration waits until a generation that was committed, or a newer one, is in effect.
func (s *Server) awaitGeneration(ctx context.Context, g *source.Generation) error {
	ctx, cancel := context.WithTimeout(ctx, awaitTime)
	defer cancel()
	look := time.NewTicker(awaitLook)
	defer look.Stop()
	for s.follower.Retry(); ; {
		state := s.follower.State()
		switch {
		case state.InEffect.Digest() == g.Digest(), state.InEffect.Manifest.Number > g.Manifest.Number:
			return nil
		case state.Refused != nil && state.Refused.Digest() == g.Digest():
			return state.RefusedBy
		}
		select {
		case <-ctx.Done():
			return errNotHeard
		case <-look.C:
		}
	}
}
