package site

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
)

// fetchedFile is where a CRL file is fetched from, and where that is configured.
type fetchedFile struct {
	file, url string
	line      int
}

// firstFetch bounds the fetch of a CRL whose file does not exist yet.
const firstFetch = 10 * time.Second

// refetch is the time until a failed reload is repeated because of a failed fetch.
const refetch = time.Minute

// sources returns the CRLs to keep fresh. It fetches a CRL whose file does not exist yet:
// the server could not start without it.
func (l *loader) sources(path string, t *config.Trust, anchors []*x509.Certificate) []crlfetch.Source {
	var out []crlfetch.Source
	for _, f := range t.Fetch {
		s := crlfetch.Source{URL: f.URL, File: l.files.Beside(path, f.File), Anchors: anchors, MaxBytes: int64(f.MaxBytes)}
		if l.files.FS != nil {
			l.wrong.Add(configerror.Error{File: path, Line: f.Line(), What: "fetch has nowhere to write: the configuration is part of the program", Hint: "use a configuration on disk"})
			continue
		}
		if !l.onNode(f.In(path), s.File, "fetch") {
			continue
		}
		if f.Issuer.Value != "" {
			name := l.files.Beside(path, f.Issuer.Value)
			digest, ok := l.digest(f.Issuer.In(path), name)
			if !ok {
				continue
			}
			for _, c := range l.certificatesOf(f.Issuer.In(path), name, digest) {
				s.Issuers = append(s.Issuers, c.Cert)
			}
		}
		if !l.fetchedOnce(path, f, &s) {
			continue
		}
		out = append(out, s)
		if _, err := l.files.Digest(s.File); !errors.Is(err, fs.ErrNotExist) || len(anchors) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(l.ctx, firstFetch)
		err := (&crlfetch.Fetcher{Now: l.clock}).Fetch(ctx, s)
		cancel()
		if err != nil {
			l.files.RetryAt(l.now().Add(refetch))
			l.wrong.Add(configerror.Error{File: path, Line: f.Line(), What: fmt.Sprintf("the CRL %s cannot be fetched: %s", f.URL, err), Hint: "check the connection to the server, or put the file there"})
			continue
		}
		l.files.Forget(s.File)
	}
	return out
}

// fetchedOnce rejects a second URL for one file, however the name of the file is written:
// only one of the two would be fetched. Two sources of one file and URL get one name.
func (l *loader) fetchedOnce(path string, f config.Fetch, s *crlfetch.Source) bool {
	real := realPath(s.File)
	first, twice := l.fetched[real]
	switch {
	case !twice:
		if l.fetched == nil {
			l.fetched = map[string]fetchedFile{}
		}
		l.fetched[real] = fetchedFile{file: s.File, url: s.URL, line: f.Line()}
	case first.url != s.URL:
		l.wrong.Add(configerror.Error{
			File: path, Line: f.Line(), What: fmt.Sprintf("file: %q is also fetched from another URL, in line %d", f.File, first.line), Hint: "use one URL for each file",
		})
		return false
	default:
		s.File = first.file
	}
	return true
}

// realPath returns the name of a file without symbolic links. The file need not exist.
func realPath(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(name)); err == nil {
		return filepath.Join(dir, filepath.Base(name))
	}
	return filepath.Clean(name)
}
