package mtlsguard

import (
	"context"
	"crypto/x509"
	"slices"
	"sync"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/site"
)

// crlFetcher fetches the CRL files of the current generation before they expire. The
// watcher sees the changed files, and reloads.
type crlFetcher struct {
	server  *Server
	sources []crlfetch.Source
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// follow fetches the sources of g from now on, and no others.
func (f *crlFetcher) follow(ctx context.Context, g *site.Generation) {
	var sources []crlfetch.Source
	for _, p := range g.AllPorts() {
		for _, s := range p.Sources() {
			i := slices.IndexFunc(sources, func(other crlfetch.Source) bool { return s.File == other.File })
			if i < 0 {
				sources = append(sources, s)
				continue
			}
			// Ports may share a file. Each verifies the CRL by itself when it loads the file.
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
	fetcher := &crlfetch.Fetcher{Now: f.server.options.Now, OnError: func(x crlfetch.Failure) {
		f.server.events.LogWarnings([]configerror.Finding{{
			About: "trust", File: x.File, What: "the CRL " + x.URL + " cannot be fetched: " + x.Err.Error(), Hint: x.Progress.String(),
		}})
	}}
	f.server.fetcher.Store(fetcher)
	f.done.Go(func() { fetcher.Run(ctx, sources) })
}

// wake makes the fetcher look at the files now.
func (f *crlFetcher) wake() {
	if fetcher := f.server.fetcher.Load(); fetcher != nil {
		fetcher.Wake()
	}
}

func (f *crlFetcher) stop() {
	if f.cancel != nil {
		f.cancel()
		f.done.Wait()
	}
}

func sameSource(a, b crlfetch.Source) bool {
	return a.URL == b.URL && a.File == b.File && a.MaxBytes == b.MaxBytes && slices.EqualFunc(a.Anchors, b.Anchors, (*x509.Certificate).Equal) &&
		slices.EqualFunc(a.Issuers, b.Issuers, (*x509.Certificate).Equal)
}
