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

// lastAnswer identifies the list that a server sent last, and the content of the file then.
type lastAnswer struct {
	etag string
	file [sha256.Size]byte
	list *x509.RevocationList // only its dates
}

var (
	errExpired   = errors.New("the CRL is past its next update")
	errEncoded   = errors.New("the answer has a content encoding, which is not allowed for a CRL")
	errLargeFile = tooLarge(maxFileBytes)
)

// Fetch fetches a source once. It replaces the file only with a list that passes all checks
// and is not older.
func (f *Fetcher) Fetch(ctx context.Context, s Source) error {
	_, _, err := f.fetch(ctx, s, lastAnswer{})
	return err
}

func (f *Fetcher) fetch(ctx context.Context, s Source, last lastAnswer) (list *x509.RevocationList, now lastAnswer, err error) {
	defer func() {
		// A parser that panics on a hostile answer must not end the process.
		if p := recover(); p != nil {
			list, now, err = nil, lastAnswer{}, errors.New("parsing the answer panicked")
		}
	}()
	if err := s.CheckURL(); err != nil {
		return nil, lastAnswer{}, fmt.Errorf("the URL cannot be fetched: %w", err)
	}
	file, err := readFile(s.File)
	if err != nil {
		return nil, lastAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, lastAnswer{}, err
	}
	// Conditional only if the file still holds the list with this ETag.
	conditional := last.etag != "" && file != nil && sha256.Sum256(file) == last.file
	if conditional {
		request.Header.Set("If-None-Match", last.etag)
	}
	response, err := f.client().Do(request)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL, which may be the target of a redirect
		}
		return nil, lastAnswer{}, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotModified && conditional:
		if f.isExpired(last.list) {
			return nil, lastAnswer{}, errExpired // the server, or an attacker before it, keeps sending an old state
		}
		return last.list, last, nil
	case response.StatusCode != http.StatusOK:
		return nil, lastAnswer{}, fmt.Errorf("the server returned HTTP %d", response.StatusCode)
	}
	// A compressed answer could be a thousand times larger than the bytes that were sent.
	if e := response.Header.Get("Content-Encoding"); response.Uncompressed || e != "" && !strings.EqualFold(e, "identity") {
		return nil, lastAnswer{}, errEncoded
	}
	if response.ContentLength > s.maxBytes() {
		return nil, lastAnswer{}, tooLarge(s.maxBytes())
	}
	data, err := readAll(response.Body, s.maxBytes())
	if err != nil {
		return nil, lastAnswer{}, err
	}
	list, same, err := f.checkFetched(s, file, data)
	if err != nil {
		return nil, lastAnswer{}, err
	}
	if !same {
		if err := replace(s.File, data); err != nil {
			return nil, lastAnswer{}, err
		}
		file = data
	}
	dates := datesOf(list)
	return dates, lastAnswer{etag: response.Header.Get("ETag"), file: sha256.Sum256(file), list: dates}, nil
}

// datesOf returns a list without its entries, to save memory.
func datesOf(list *x509.RevocationList) *x509.RevocationList {
	return &x509.RevocationList{ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate}
}

func tooLarge(most int64) error {
	if most%(1<<20) == 0 {
		return fmt.Errorf("the CRL is larger than %d MiB", most>>20)
	}
	return fmt.Errorf("the CRL is larger than %d bytes", most)
}

func readAll(r io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		err = tooLarge(most)
	}
	return data, err
}

func (f *Fetcher) client() *http.Client {
	if f.Client != nil {
		return f.Client
	}
	return defaultClient
}

// defaultClient follows redirects within the host of the URL only, and ignores the proxies of
// the environment. It keeps no idle connections, because fetches are rare.
var defaultClient = &http.Client{
	Transport: &http.Transport{Proxy: nil, MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true, DisableCompression: true, TLSHandshakeTimeout: 10 * time.Second},
	CheckRedirect: func(next *http.Request, via []*http.Request) error {
		first := via[0].URL
		if !strings.EqualFold(next.URL.Host, first.Host) || next.URL.Scheme != first.Scheme {
			return errors.New("a redirect to another host is not followed")
		}
		if len(via) > 3 {
			return errors.New("more than three redirects are not followed")
		}
		return nil
	},
}
