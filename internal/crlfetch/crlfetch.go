// Package crlfetch keeps CRL files fresh from configured URLs.
//
// A list is fetched, believed as trust believes it, and renamed over its file; the
// file is what the configuration names and what is watched. So there is one way for
// a CRL to come into force, the last good one outlives a restart, and nothing here
// is ever told a URL by a certificate.
package crlfetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
)

// Source is one CRL to keep fresh.
type Source struct {
	URL     string
	File    string
	Anchors []*x509.Certificate // of the trust that the CRL is for
}

// Check says what is wrong with a source's URL.
func (s Source) Check() error {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil:
		return errors.New("it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("its scheme is not http or https")
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("it has no host, or a user or a fragment")
	}
	return nil
}

const (
	maxBytes = 64 << 20
	timeout  = 30 * time.Second
	retry    = time.Minute      // after a failure
	longest  = 6 * time.Hour    // between two looks, however far the next update is
	soonest  = 30 * time.Second // between two looks, however near it is
)

// Fetcher fetches. Its zero value is ready.
type Fetcher struct {
	Client *http.Client              // nil: one without a proxy that stays with the URL's host
	Now    func() time.Time          // nil: time.Now
	Tell   func(s Source, err error) // told of every failure; nil: nobody
}

// Run keeps sources fresh until ctx ends.
func (f *Fetcher) Run(ctx context.Context, sources []Source) {
	done := make(chan struct{})
	for _, s := range sources {
		go func() {
			defer func() { done <- struct{}{} }()
			f.keep(ctx, s)
		}()
	}
	for range sources {
		<-done
	}
}

func (f *Fetcher) keep(ctx context.Context, s Source) {
	var etag string
	for wait := jitter(soonest); ; {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		list, tag, err := f.fetch(ctx, s, etag)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait = jitter(retry)
			if f.Tell != nil {
				f.Tell(s, err)
			}
		default:
			etag = tag
			wait = jitter(f.untilNext(list))
		}
	}
}

// untilNext is how long a list may rest: until well before its next update.
func (f *Fetcher) untilNext(list *x509.RevocationList) time.Duration {
	if list == nil || list.NextUpdate.IsZero() {
		return time.Hour
	}
	life := list.NextUpdate.Sub(list.ThisUpdate)
	early := max(life/10, min(time.Hour, life/2))
	return min(max(list.NextUpdate.Add(-early).Sub(f.now()), soonest), longest)
}

// jitter spreads by a tenth, so that many servers do not ask at once.
func jitter(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

func (f *Fetcher) now() time.Time {
	if f.Now == nil {
		return time.Now()
	}
	return f.Now()
}

// Fetch fetches a source once. The file changes only for a list that is believed
// and no older than the one in it.
func (f *Fetcher) Fetch(ctx context.Context, s Source) error {
	_, _, err := f.fetch(ctx, s, "")
	return err
}

func (f *Fetcher) fetch(ctx context.Context, s Source, etag string) (*x509.RevocationList, string, error) {
	have, _ := readList(s.File) // none, or none that can be read: the new one replaces it
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, "", err
	}
	if etag != "" && have != nil {
		request.Header.Set("If-None-Match", etag)
	}
	response, err := f.client().Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotModified && have != nil:
		return have, etag, nil
	case response.StatusCode != http.StatusOK:
		return nil, "", fmt.Errorf("the server answers %d", response.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxBytes+1))
	if err != nil {
		return nil, "", err
	}
	if len(data) > maxBytes {
		return nil, "", fmt.Errorf("the CRL is larger than %d MiB", maxBytes>>20)
	}
	list, err := f.believe(s, have, data)
	if err != nil {
		return nil, "", err
	}
	if have == nil || string(have.Raw) != string(list.Raw) {
		if err := replace(s.File, data); err != nil {
			return nil, "", err
		}
	}
	return list, response.Header.Get("ETag"), nil
}

// believe judges what was fetched as trust does when it loads it, and refuses to go
// back to an older list: somebody may be replaying it.
func (f *Fetcher) believe(s Source, have *x509.RevocationList, data []byte) (*x509.RevocationList, error) {
	lists, err := trust.ReadCRLs(s.URL, data)
	if err != nil {
		return nil, err
	}
	if len(lists) != 1 {
		return nil, fmt.Errorf("%d CRLs in one answer", len(lists))
	}
	list := lists[0].List
	if err := trust.CheckCRL(list, s.Anchors, f.now()); err != nil {
		return nil, err
	}
	if list.NextUpdate.Before(f.now()) && !list.NextUpdate.IsZero() {
		return nil, errors.New("the CRL is past its next update")
	}
	if have != nil && trust.Older(list, have) {
		return nil, errors.New("the CRL is older than the one in the file")
	}
	return list, nil
}

func readList(file string) (*x509.RevocationList, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	lists, err := trust.ReadCRLs(file, data)
	if err != nil || len(lists) != 1 {
		return nil, errors.New("not one CRL")
	}
	return lists[0].List, nil
}

// replace writes a file so that a reader sees the old or the new content, whole.
func replace(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".new*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing to remove once it is renamed
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func (f *Fetcher) client() *http.Client {
	if f.Client != nil {
		return f.Client
	}
	return stayAtHome
}

// stayAtHome follows redirects within the host of the URL only, and no proxy of the
// environment.
var stayAtHome = &http.Client{
	Transport: &http.Transport{Proxy: nil, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute},
	CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if first := via[0].URL; next.URL.Host != first.Host || next.URL.Scheme != first.Scheme || len(via) > 3 {
			return errors.New("a redirect to another host is not followed")
		}
		return nil
	},
}
