package crlfetch

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// seen is what a server called the list that it sent last.
type seen struct {
	etag string
	list [sha256.Size]byte
}

var (
	errPast     = errors.New("the CRL is past its next update")
	errTooLarge = fmt.Errorf("the CRL is larger than %d MiB", maxBytes>>20)
)

// Fetch fetches a source once. The file changes only for a list that is believed
// and no older than the one in it.
func (f *Fetcher) Fetch(ctx context.Context, s Source) error {
	_, _, err := f.fetch(ctx, s, seen{})
	return err
}

func (f *Fetcher) fetch(ctx context.Context, s Source, last seen) (list *x509.RevocationList, now seen, err error) {
	defer func() {
		// A parser that panics on what a server sent must not end the process.
		if p := recover(); p != nil {
			list, now, err = nil, seen{}, errors.New("reading the answer panicked")
		}
	}()
	if err := s.Check(); err != nil {
		return nil, seen{}, fmt.Errorf("the URL cannot be fetched: %w", err)
	}
	have, err := readList(s.File)
	if err != nil {
		return nil, seen{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, seen{}, err
	}
	// Asked only where the file still holds what the server named so.
	conditional := last.etag != "" && have != nil && sha256.Sum256(have.Raw) == last.list
	if conditional {
		request.Header.Set("If-None-Match", last.etag)
	}
	response, err := f.client().Do(request)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL: it may be the one that a server wanted us to go to
		}
		return nil, seen{}, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotModified && conditional:
		if f.past(have) {
			return nil, seen{}, errPast // a server, or who stands before it, that is frozen
		}
		return have, last, nil
	case response.StatusCode != http.StatusOK:
		return nil, seen{}, fmt.Errorf("the server answers %d", response.StatusCode)
	}
	data, err := readAll(response.Body)
	if err != nil {
		return nil, seen{}, err
	}
	list, err = f.believe(s, have, data)
	if err != nil {
		return nil, seen{}, err
	}
	if have == nil || string(have.Raw) != string(list.Raw) {
		if err := replace(s.File, data); err != nil {
			return nil, seen{}, err
		}
	}
	return list, seen{etag: response.Header.Get("ETag"), list: sha256.Sum256(list.Raw)}, nil
}

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err == nil && len(data) > maxBytes {
		err = errTooLarge
	}
	return data, err
}

func (f *Fetcher) client() *http.Client {
	if f.Client != nil {
		return f.Client
	}
	return stayAtHome
}

// stayAtHome follows redirects within the host of the URL only, and no proxy of the
// environment. Fetches are far apart: it keeps no connection between them.
var stayAtHome = &http.Client{
	Transport: &http.Transport{Proxy: nil, MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true, TLSHandshakeTimeout: 10 * time.Second},
	CheckRedirect: func(next *http.Request, via []*http.Request) error {
		first := via[0].URL
		if !strings.EqualFold(next.URL.Host, first.Host) || next.URL.Scheme != first.Scheme {
			return errors.New("a redirect to another host is not followed")
		}
		if len(via) > 3 {
			return errors.New("more redirects than are followed")
		}
		return nil
	},
}
