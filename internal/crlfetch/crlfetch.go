// Package crlfetch keeps CRL files fresh from configured URLs.
//
// A list is fetched, believed as trust believes it, and renamed over its file; the
// file is what the configuration names and what is watched. So there is one way for
// a CRL to come into force, the last good one outlives a restart, and nothing here
// is ever told a URL by a certificate.
//
// Fetching is stricter than loading: a file was put there by the operator, and what
// comes over the network by anybody. A fetched list must be signed by an authority
// that is known here, and must be of the series that the file holds already: of the
// same issuer, key and scope, and no older. Remove the file to begin another series.
package crlfetch

import (
	"context"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Source is one CRL to keep fresh.
type Source struct {
	URL     string
	File    string
	Anchors []*x509.Certificate // of the trust that the CRL is for
	Issuers []*x509.Certificate // authorities below them, for a CRL that one of these issues
	// MaxBytes is the largest answer that is read; 0 means 16 MiB.
	MaxBytes int64
}

// DefaultMaxBytes is enough for some 400,000 entries.
const DefaultMaxBytes = 16 << 20

func (s Source) maxBytes() int64 {
	if s.MaxBytes == 0 {
		return DefaultMaxBytes
	}
	return s.MaxBytes
}

// Check says what is wrong with a source's URL.
func (s Source) CheckURL() error {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil:
		return errors.New("it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("its scheme is not http or https")
	case u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return errors.New("it has no host, or a user or a fragment")
	}
	return nil
}

const (
	maxFileBytes = 64 << 20 // bytes of a file, which the operator put there
	timeout      = 30 * time.Second
	retryAfter   = time.Minute      // after a failure
	longestWait  = 6 * time.Hour    // between two looks, however far the next update is
	shortestWait = 30 * time.Second // between two looks, however near it is
	firstWait    = time.Second      // to the first look, where there is no list or an old one
)

// Fetcher fetches. Its zero value is ready. It is safe for concurrent use, but for
// two sources with one file.
type Fetcher struct {
	Client  *http.Client              // nil: one without a proxy that stays with the URL's host
	Now     func() time.Time          // nil: time.Now
	OnError func(s Source, err error) // told of every failure, also concurrently; nil: nobody
}

// Run keeps sources fresh until ctx ends, and returns when nothing of it is left.
func (f *Fetcher) Run(ctx context.Context, sources []Source) {
	var all sync.WaitGroup
	for _, s := range sources {
		all.Go(func() { f.renew(ctx, s) })
	}
	all.Wait()
}

func (f *Fetcher) renew(ctx context.Context, s Source) {
	var last lastAnswer
	for wait := f.untilFirst(s); ; {
		timer := time.NewTimer(jitter(wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		list, now, err := f.fetch(ctx, s, last)
		if ctx.Err() != nil {
			return
		}
		last = now // nothing after a failure: then all of it is fetched again
		if err == nil {
			wait = f.untilNext(list)
			continue
		}
		wait = retryAfter
		if f.OnError != nil {
			f.OnError(s, err)
		}
	}
}

// untilFirst is how long the first look may wait: hardly, where the file holds
// nothing that is good for anything.
func (f *Fetcher) untilFirst(s Source) time.Duration {
	data, err := readFile(s.File)
	if err != nil {
		return firstWait
	}
	if have, err := parseFile(s.File, data); err != nil || have == nil || f.isExpired(have) {
		return firstWait
	}
	return shortestWait
}

// untilNext is how long a list may rest: until well before its next update, the
// larger of an hour and a tenth of its life. Where a newer one is due and not there
// yet, it is looked for ever more often as the end comes near.
func (f *Fetcher) untilNext(list *x509.RevocationList) time.Duration {
	if list.NextUpdate.IsZero() {
		return time.Hour
	}
	life := list.NextUpdate.Sub(list.ThisUpdate)
	early := max(life/10, min(time.Hour, life/2))
	left := list.NextUpdate.Sub(f.now())
	if rest := left - early; rest > 0 {
		return min(max(rest, shortestWait), longestWait)
	}
	return min(max(left/10, shortestWait), time.Hour)
}

// jitter takes off up to a fifth, so that many servers do not ask at once, and none
// too late.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/5+1) }

func (f *Fetcher) now() time.Time {
	if f.Now == nil {
		return time.Now()
	}
	return f.Now()
}

// past reports whether a list was to be replaced by now.
func (f *Fetcher) isExpired(list *x509.RevocationList) bool {
	return !list.NextUpdate.IsZero() && !f.now().Before(list.NextUpdate)
}
