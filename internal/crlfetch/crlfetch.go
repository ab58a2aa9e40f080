// Package crlfetch renews CRL files from configured URLs.
//
// It fetches a list, checks it as package trust does, and renames it over its file. The
// configuration names the file, and the server watches it. So every CRL takes effect in the
// same way, and the last good one survives a restart. URLs in certificates are never used.
//
// Fetched lists are checked more strictly than files: the operator provides a file, but an
// attacker may be on the network. A known authority must have signed a fetched list, and it
// must be of the same series as the list in the file (issuer, key and scope) and not older.
// Remove the file to start another series.
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

// Source is one CRL to renew.
type Source struct {
	URL     string
	File    string
	Anchors []*x509.Certificate // of the trust that uses the CRL
	Issuers []*x509.Certificate // authorities below the anchors that may issue the CRL
	// MaxBytes is the largest answer that is read; 0 means 16 MiB.
	MaxBytes int64
}

// DefaultMaxBytes is the default of Source.MaxBytes. It is enough for 400,000 entries.
const DefaultMaxBytes = 16 << 20

func (s Source) maxBytes() int64 {
	if s.MaxBytes == 0 {
		return DefaultMaxBytes
	}
	return s.MaxBytes
}

// CheckURL returns an error if a source's URL cannot be fetched.
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
	maxFileBytes = 64 << 20 // bytes of the file of a source
	timeout      = 30 * time.Second
	retryFirst   = 5 * time.Second  // after the first failure, if the file holds no current list; then twice as long each time
	retryAfter   = time.Minute      // after any other failure
	lookEvery    = 5 * time.Second  // the time between two looks at the file
	longestWait  = 6 * time.Hour    // the longest time between two fetches
	shortestWait = 30 * time.Second // the shortest time between two fetches
	firstWait    = time.Second      // before the first fetch, if the file holds no current list
)

// Fetcher fetches CRLs. Its zero value is ready for use. It is safe for concurrent use, except
// for two sources with the same file.
type Fetcher struct {
	Client  *http.Client     // nil means one without a proxy that stays with the URL's host
	Now     func() time.Time // nil means time.Now
	OnError func(Failure)    // called for every failure of Run, also concurrently; nil means no call

	mu       sync.Mutex
	progress map[string]Progress      // by Source.File
	wakers   map[string]chan struct{} // of the sources that Run renews, by Source.File
}

// Failure is a fetch that failed.
type Failure struct {
	Source
	Progress
	Err error
}

// Progress is what Run has done for a source, by the clock of the Fetcher.
type Progress struct {
	LastSuccess time.Time // zero: none since Run was called
	NextTry     time.Time
	LastError   error // of the last try; nil: there was none, or it succeeded
}

// String returns both times as a sentence for people.
func (p Progress) String() string {
	last := "never since the start"
	if !p.LastSuccess.IsZero() {
		last = "at " + p.LastSuccess.UTC().Format(time.RFC3339)
	}
	return "last fetched " + last + ", next try at " + p.NextTry.UTC().Format(time.RFC3339)
}

// Progress returns what Run has done for the source of a file.
func (f *Fetcher) Progress(file string) Progress {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.progress[file]
}

// Wake makes Run look at the files now. A source whose file holds no current list is fetched
// at once, whenever the next try was due.
func (f *Fetcher) Wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.wakers {
		select {
		case w <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// Run renews the sources until ctx ends. It returns when its goroutines have ended.
func (f *Fetcher) Run(ctx context.Context, sources []Source) {
	var all sync.WaitGroup
	for _, s := range sources {
		all.Go(func() { f.renew(ctx, s) })
	}
	all.Wait()
}

// untilNext returns the wait before the next fetch. The fetch is due before the next update of
// the list: by an hour or a tenth of its lifetime, whichever is longer. If the server still
// has no newer list then, fetches follow more and more often towards the next update.
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

// jitter shortens a wait by up to a fifth, so that many servers do not fetch at the same time.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/5+1) }

func (f *Fetcher) now() time.Time {
	if f.Now == nil {
		return time.Now()
	}
	return f.Now()
}

// isExpired reports whether the next update of a list has passed.
func (f *Fetcher) isExpired(list *x509.RevocationList) bool {
	return !list.NextUpdate.IsZero() && !f.now().Before(list.NextUpdate)
}
