package mtlsguard

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/internal/follow"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/source"
)

// first loads the first generation: from files, or with a block source from the newest
// generation of the fleet that can be loaded.
func (s *Server) first() (*site.Generation, error) {
	files := fileset.New(s.fsys)
	settings, err := site.ReadSource(s.path, files, s.options.program())
	if err != nil {
		return nil, err
	}
	if settings == nil {
		g, _, err := s.read(context.Background(), files, nil, true, unchanged)
		return g, err
	}
	from := s.options.Source
	if from == nil {
		if from, err = s.openURL(settings, files); err != nil {
			return nil, err
		}
	}
	s.from = from
	var g *site.Generation
	s.follower = follow.New(follow.Config{
		Source: from, Keep: source.OpenKeep(settings.Keep), Node: nodeName(settings), OnEvent: s.onSource, Lines: s.reportLines, Now: s.options.now,
		Poll: func() time.Duration { return s.sourceSettings(settings).Poll },
		Check: func(generation *source.Generation) error {
			return s.sourceSettings(settings).Check(generation)
		},
		Apply: func(ctx context.Context, generation *source.Generation) (time.Time, error) {
			if g != nil {
				return s.follow(ctx, generation)
			}
			loaded, read, err := s.read(ctx, files, generation, true, unchanged)
			if err != nil {
				return read.Retry, err
			}
			g, s.pinned = loaded, generation
			return time.Time{}, nil
		},
	})
	if err := s.follower.Start(context.Background(), settings.First); err != nil {
		return nil, s.sourceError(settings, err)
	}
	return g, nil
}

// sourceError gives errors without a file the position of the block source.
func (s *Server) sourceError(settings *site.Source, err error) error {
	var wrong errorlist.List
	wrong.Merge(err, settings.In(s.path))
	for _, e := range wrong.All() {
		if e.File == "" {
			e.File, e.Line = s.path, settings.Line()
		}
		if e.Hint == "" {
			e.Hint = "check the folder keep, and the store"
		}
	}
	return wrong.Err()
}

// openURL returns the source of a URL.
func (s *Server) openURL(settings *site.Source, files *fileset.Reader) (source.Source, error) {
	client, err := settings.Client(s.path, files, func() *site.Source { return s.sourceSettings(settings) })
	if err != nil {
		return nil, err
	}
	return source.HTTPS(settings.URL.Value, client)
}

// sourceSettings returns the block source that is in effect, or the one at the start.
func (s *Server) sourceSettings(start *site.Source) *site.Source {
	if g := s.currentGeneration(); g != nil {
		return g.Source
	}
	return start
}

// remount makes f read the files of a generation; nil changes nothing.
func remount(f *fileset.Reader, g *source.Generation) {
	if g != nil {
		f.Remount(g.FS())
	}
}

// follow puts a generation of the fleet into effect. Files of the node that are being written at
// the same time are read when they have stopped changing.
func (s *Server) follow(ctx context.Context, generation *source.Generation) (retry time.Time, err error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	stable := unchanged
	if s.tried.Changed() {
		_, stable = waitUntilStable(ctx, s.tried)
	}
	g, read, err := s.read(ctx, s.tried, generation, false, stable)
	if ctx.Err() != nil {
		return time.Time{}, ctx.Err()
	}
	if err == nil {
		err = s.apply(g)
	}
	if err != nil {
		read.Read.Drop()
		s.returnMemory(read)
		return read.Retry, err
	}
	s.pinned = generation
	s.events.LogGeneration(&generation.Manifest)
	s.events.LogWarnings(g.Warnings)
	s.reminder.log()
	return time.Time{}, nil
}

// retryRefused makes the follower try a refused generation again, since files of this node have
// changed.
func (s *Server) retryRefused() {
	if s.follower != nil {
		s.follower.Retry()
	}
}

// onSource logs what happens to the source. A generation in effect is logged when it is applied.
func (s *Server) onSource(e follow.Event) {
	switch e.Kind {
	case follow.Refused:
		s.events.LogRefusedGeneration(s.path, &e.Generation.Manifest, e.Err)
	case follow.Unreachable:
		s.events.LogSource("the source does not answer, the last generation stays in effect", e.Err)
	case follow.Reachable:
		s.events.LogSource("the source answers again", nil)
	case follow.NotHeard:
		s.events.LogSource("the source announces no changes, and is polled", e.Err)
	case follow.NotKept:
		s.events.LogSource("a generation cannot be kept on disk", e.Err)
	}
}

const (
	maxReportLines = 20
	maxReportLine  = 500 // bytes
)

// reportLines returns errors for people who do not see this machine: names of files begin at the
// folder of mtlsguard.yaml.
func (s *Server) reportLines(err error) []string {
	var out []string
	for _, e := range s.configErrors(err) {
		if len(out) == maxReportLines {
			break
		}
		e.File = s.relative(e.File)
		line := strings.ToValidUTF8(e.Error(), "")
		out = append(out, strings.ToValidUTF8(line[:min(len(line), maxReportLine)], ""))
	}
	return out
}

// nodeName returns the name of this node in reports.
func nodeName(settings *site.Source) string {
	if settings.Node != "" {
		return settings.Node
	}
	name, err := os.Hostname()
	if err != nil {
		return filepath.Base(os.Args[0])
	}
	return name
}

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
