// Package site loads one generation of a server's configuration: mtlsguard.yaml and all
// files that it names become verifiers, a table of mappings, a policy engine, and the
// configurations of ports and tunnels. It also checks what is probably not meant (Lint).
package site

import (
	"context"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/workers"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
)

// loader turns files into a Generation. It collects the errors of all files before it
// gives up.
type loader struct {
	ctx      context.Context // of what is fetched
	path     string
	files    *fileset.Reader
	program  Program
	previous *Generation // nil at the start
	wrong    errorlist.List
	warnings []configerror.Finding
	clock    func() time.Time       // nil: time.Now
	fetched  map[string]fetchedFile // by real path
	kept     kept
	parsed   map[string]int // how often each kind of kept value was parsed
	reading  sync.Mutex     // of files while mappings are parsed: the goroutines that parse read the keys of issuers

	where   string            // the port that is being read, such as "port internal, "
	namedAt map[string]string // by file: where mtlsguard.yaml names it first

	halfRenewed int // errors of a certificate whose key has not been renewed yet, or the other way round
}

// Load reads a configuration and all files that it names. previous is the current
// generation, or nil at the start. now is the clock; nil is time.Now. program is what does not
// come from the files. The error joins every
// configuration error; then the Generation is nil.
func Load(ctx context.Context, path string, f *fileset.Reader, previous *Generation, now func() time.Time, program Program) (*Generation, error) {
	return newLoader(ctx, path, f, previous, now, program).load()
}

func newLoader(ctx context.Context, path string, f *fileset.Reader, previous *Generation, now func() time.Time, program Program) *loader {
	return &loader{program: program, ctx: ctx, path: path, files: f, previous: previous, clock: now, kept: kept{}, parsed: map[string]int{}}
}

// now reads the clock by which certificates are verified.
func (l *loader) now() time.Time {
	if l.clock == nil {
		return time.Now()
	}
	return l.clock()
}

func (l *loader) load() (*Generation, error) {
	if l.previous != nil {
		defer workers.Reserve()() // one processor stays free for requests
	}
	path := l.path
	data, ok := l.text(configerror.Error{File: path}, path)
	if !ok {
		return nil, l.err()
	}
	f := config.Parse(path, data, l.program.forConfig(), &l.wrong)
	if f == nil {
		return nil, l.err()
	}
	g := &Generation{Files: l.files, Reload: f.Reload, Admin: f.Admin, Metrics: f.Metrics, Tokens: f.Tokens, pages: f.Pages(), Fleet: l.program.Generation}
	if g.Source = l.source(path, f); l.wrong.Len() > 0 && (g.Source != nil || l.previous != nil && l.previous.Source != nil) {
		return nil, l.err() // where the other files come from is not known
	}
	var names, methods []string
	for _, p := range f.AllPorts() {
		if p.Authorizes() { // a rule for another port would mean nothing
			names = append(names, p.Name)
			methods = append(methods, p.Methods...)
		}
	}
	names = l.fleetPorts(names)
	if f.Users.Value != "" && l.program.Map == nil {
		g.Users = l.files.Beside(path, f.Users.Value)
	}
	if f.Policy.Value != "" && l.program.Policy == nil {
		g.Policy = l.files.Beside(path, f.Policy.Value)
	}
	g.Table = l.users(path, f, names)
	g.Engine = l.policy(path, f, names, methods)
	g.Quotas = l.quotas(path, f)
	for _, p := range f.Ports {
		g.Ports = append(g.Ports, l.port(path, p))
	}
	if f.Reverse != nil {
		g.Tunnel = l.reverse(path, f.Reverse)
	}
	l.tokenKey(path, g)
	l.rejectEmptied()
	if err := l.err(); err != nil {
		if l.halfRenewed == l.wrong.Len() {
			err = halfRenewedError{err}
		}
		return nil, err
	}
	l.checkGuard(path, f, g)
	if err := l.err(); err != nil {
		return nil, err
	}
	l.warnLookups(g)
	g.Warnings = l.warnings
	g.endings = g.findEndings()
	g.kept, g.Parsed = l.kept, l.parsed
	return g, nil
}

// checkGuard builds everything once, so that settings that are wrong only together are
// rejected before any of them takes effect.
func (l *loader) checkGuard(path string, f *config.File, g *Generation) {
	for i, p := range f.Ports {
		c := g.Ports[i].Config
		l.program.AddCertificate(&c)
		_, err := ports.New(c)
		l.wrong.Merge(placed(err, path, p.Line()), configerror.Error{File: path, Line: p.Line()})
	}
	all := g.AllPorts()
	for i, p := range f.AllPorts() {
		_, err := middleware.New(middleware.Config{Map: l.program.mapper(g), Policy: l.program.decider(g), PerPort: map[string]middleware.PortConfig{p.Name: all[i].Guard}})
		l.wrong.Merge(placed(err, path, p.Line()), configerror.Error{File: path, Line: p.Line()})
	}
	l.checkRegistration(path, f, g)
	l.checkReverse(path, f, g)
}
