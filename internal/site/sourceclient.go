package site

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
)

// Client returns the client for the URL of the source. current returns the block source that is in effect: the
// client trusts its anchors, and reads its certificate and key now, and again for each connection. path
// is that of mtlsguard.yaml.
func (s *Source) Client(path string, f *fileset.Reader, current func() *Source) (*http.Client, error) {
	pair := &clientPair{path: path, fsys: f.FS, current: current}
	if s.Cert.Value != "" {
		var wrong errorlist.List
		_, err := f.Get(f.Beside(path, s.Cert.Value))
		wrong.Merge(err, s.Cert.In(path))
		_, keyErr := f.Get(f.Beside(path, s.Key.Value))
		wrong.Merge(keyErr, s.Key.In(path))
		if err == nil && keyErr == nil {
			wrong.Merge(pair.load(s), s.Cert.In(path))
		}
		if err := wrong.Err(); err != nil {
			return nil, err
		}
	}
	return &http.Client{Transport: &sourceTransport{current: current, pair: pair}}, nil
}

// sourceTransport is a transport that trusts the anchors of the block source in effect. After a change of them
// it uses no connection that it had before.
type sourceTransport struct {
	current func() *Source
	pair    *clientPair

	mu    sync.Mutex // guards the fields below
	of    *Source    // whose anchors the transport trusts
	trust *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *sourceTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.transport().RoundTrip(r)
}

// CloseIdleConnections is called by that of http.Client.
func (t *sourceTransport) CloseIdleConnections() { t.transport().CloseIdleConnections() }

// transport returns the transport for the anchors in effect.
func (t *sourceTransport) transport() *http.Transport {
	now := t.current()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.trust != nil && now.Roots.Equal(t.of.Roots) {
		return t.trust
	}
	if t.trust != nil {
		t.trust.CloseIdleConnections()
	}
	t.of, t.trust = now, http.DefaultTransport.(*http.Transport).Clone()
	t.trust.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: now.Roots, GetClientCertificate: t.pair.certificate}
	return t.trust
}

// clientPair is the client certificate of the block source in effect. It is safe for concurrent use.
type clientPair struct {
	path    string
	fsys    fs.FS // nil: the operating system's
	current func() *Source
	last    atomic.Pointer[tls.Certificate]
}

// load reads the files of s.
func (p *clientPair) load(s *Source) error {
	files := fileset.New(p.fsys)
	cert, err := files.Get(files.Beside(p.path, s.Cert.Value))
	key, keyErr := files.Get(files.Beside(p.path, s.Key.Value))
	if err := errors.Join(err, keyErr); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil {
		p.last.Store(&pair)
	}
	return err
}

// certificate is for tls.Config.GetClientCertificate. It reads the files again, so that a renewed
// certificate is presented without a restart: with an expired one a node would get no generation any
// more. While the files do not fit together, which are replaced one after the other, the last pair stays.
func (p *clientPair) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	s := p.current()
	if s.Cert.Value == "" {
		return new(tls.Certificate), nil // none
	}
	_ = p.load(s) // the server reports what is wrong with the last pair
	if last := p.last.Load(); last != nil {
		return last, nil
	}
	return new(tls.Certificate), nil
}
