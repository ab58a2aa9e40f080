package mtlsguard

import (
	"context"
	"crypto/x509"
	"slices"
	"sync"

	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/site"
)

// fetching keeps the CRL files of the generation in force fresh. The watcher sees
// what it changes.
type fetching struct {
	server  *Server
	sources []crlfetch.Source
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// follow fetches what a generation asks for, in place of what was asked before.
func (f *fetching) follow(ctx context.Context, g *site.Generation) {
	var sources []crlfetch.Source
	for _, p := range g.AllPorts() {
		for _, s := range p.Sources() {
			i := slices.IndexFunc(sources, func(other crlfetch.Source) bool { return s.File == other.File })
			if i < 0 {
				sources = append(sources, s)
				continue
			}
			// Ports may share a file. What it brings is judged by each when it is loaded.
			sources[i].MaxBytes = max(sources[i].MaxBytes, s.MaxBytes)
			sources[i].Anchors = slices.Concat(sources[i].Anchors, s.Anchors)
			sources[i].Issuers = slices.Concat(sources[i].Issuers, s.Issuers)
		}
	}
	if slices.EqualFunc(sources, f.sources, sameSource) {
		return
	}
	f.stop()
	f.sources = sources
	ctx, f.cancel = context.WithCancel(ctx)
	fetcher := &crlfetch.Fetcher{Now: f.server.options.Now, OnError: func(s crlfetch.Source, err error) {
		f.server.events.LogWarnings([]string{"the CRL " + s.URL + " cannot be fetched: " + err.Error()})
	}}
	f.done.Go(func() { fetcher.Run(ctx, sources) })
}

func (f *fetching) stop() {
	if f.cancel != nil {
		f.cancel()
		f.done.Wait()
	}
}

func sameSource(a, b crlfetch.Source) bool {
	return a.URL == b.URL && a.File == b.File && a.MaxBytes == b.MaxBytes && slices.EqualFunc(a.Anchors, b.Anchors, (*x509.Certificate).Equal) &&
		slices.EqualFunc(a.Issuers, b.Issuers, (*x509.Certificate).Equal)
}
