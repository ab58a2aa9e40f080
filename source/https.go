package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	longPoll   = 30 * time.Second // how long a server may wait for a newer generation
	noLongPoll = time.Second      // a server that answers sooner does not wait
	etagAge    = 10 * time.Second // of a file whose ETag can be used
)

// HTTPS returns a source on a web server: GET URL/head answers with Generation.Encode, and GET URL/blob/SHA256
// with a file. A web server that serves the folder of Folder is enough. Load sends If-None-Match
// (RFC 9110, section 13.1.2) with the ETag of the last answer. Watch also sends Prefer: wait=30 (RFC 7240, section
// 4.3); if the server answers 304 at once, Watch returns ErrUnsupported.
//
// client presents the client certificate and verifies the server; package outbound makes its
// transport. nil is a client without a certificate that trusts the roots of the system. Redirects are not
// followed to another origin. The error is about the URL: only https is accepted.
func HTTPS(address string, client *http.Client) (Source, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a URL", address)
	case u.Scheme != "https":
		return nil, fmt.Errorf("%q: its scheme is not https", address)
	case u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "":
		return nil, fmt.Errorf("%q has no host, or a user, a query or a fragment", u.Redacted())
	}
	own := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	if client != nil {
		*own = *client
	}
	next := own.CheckRedirect
	own.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Scheme != "https" || r.URL.Host != u.Host || len(via) >= 5 {
			return fmt.Errorf("the server redirects to %s, and only redirects to its own origin are followed", r.URL.Redacted())
		}
		if next != nil {
			return next(r, via)
		}
		return nil
	}
	return &web{base: strings.TrimSuffix(u.String(), "/"), client: own}, nil
}

// web is a source on a web server.
type web struct {
	base   string
	client *http.Client

	mu   sync.Mutex // guards the fields below
	etag string
	last *Generation // the answer with that ETag
}

// Load implements Source.
func (w *web) Load(ctx context.Context, have *Generation) (*Generation, error) {
	g, err := w.head(ctx, have, 0)
	if err == nil && g.Same(have) {
		return have, nil
	}
	return g, err
}

// Watch implements Source.
func (w *web) Watch(ctx context.Context, have *Generation) error {
	began := time.Now()
	g, err := w.head(ctx, have, longPoll)
	switch {
	case errors.Is(err, ErrNone) && have == nil, err == nil && g.Same(have):
		if time.Since(began) < noLongPoll {
			return ErrUnsupported
		}
		return nil
	case errors.Is(err, ErrNone):
		return nil
	}
	return err
}

// head requests the newest generation. It returns have if the server answers 304.
func (w *web) head(ctx context.Context, have *Generation, wait time.Duration) (*Generation, error) {
	r, err := w.request(ctx, "/head")
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	known := w.etag != "" && w.last.Same(have)
	if known {
		r.Header.Set("If-None-Match", w.etag)
	}
	w.mu.Unlock()
	if wait > 0 && known {
		r.Header.Set("Prefer", fmt.Sprintf("wait=%d", int(wait.Seconds())))
	}
	response, err := w.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotModified && known:
		return have, nil
	case response.StatusCode == http.StatusNotFound:
		return nil, ErrNone
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("GET %s/head: %s", w.base, response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, MaxEnvelope+1))
	if err != nil {
		return nil, fmt.Errorf("GET %s/head: %w", w.base, err)
	}
	g, err := Decode(data, w.open)
	if err != nil {
		return nil, fmt.Errorf("GET %s/head: %w", w.base, err)
	}
	w.mu.Lock()
	w.etag, w.last = usableETag(response.Header), g
	w.mu.Unlock()
	return g, nil
}

// usableETag returns the ETag of an answer. It is "" if the file was young: web servers such as nginx make
// it from the size and the second of the last change, so two generations of one second may have the same, and
// the server would answer 304 to a node with the first one (RFC 9110, section 8.8.1). An answer without
// Last-Modified has an ETag of another kind.
func usableETag(h http.Header) string {
	modified := h.Get("Last-Modified")
	if modified == "" {
		return h.Get("ETag")
	}
	changed, err := http.ParseTime(modified)
	answered, dateErr := http.ParseTime(h.Get("Date")) // by the same clock
	if err != nil || dateErr != nil || answered.Sub(changed) < etagAge {
		return ""
	}
	return h.Get("ETag")
}

func (w *web) request(ctx context.Context, path string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+path, nil)
	if err == nil {
		r.Header.Set("User-Agent", "mtlsguard")
	}
	return r, err
}

// open is the OpenFunc of the server.
func (w *web) open(ctx context.Context, f File) (io.ReadCloser, error) {
	r, err := w.request(ctx, "/blob/"+f.SHA256.String())
	if err != nil {
		return nil, err
	}
	response, err := w.client.Do(r)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusOK:
		return response.Body, nil
	case http.StatusNotFound, http.StatusGone:
		err = fs.ErrNotExist
	default:
		err = errors.New(response.Status)
	}
	response.Body.Close()
	return nil, fmt.Errorf("GET %s: %w", r.URL.Redacted(), err)
}
