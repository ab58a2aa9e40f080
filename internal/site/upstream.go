package site

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certchain"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/upstream"
)

// Upstream is the service behind a port, and the digest of its settings. The zero value stands
// for a port without one.
type Upstream struct {
	*upstream.Upstream
	headers         []string         // that name the caller to the service
	key             string           // digests of everything that it was made from
	certificate     *tls.Certificate // that the service is shown; nil: none
	certificateFile string
}

// upstream makes the way to the service behind a port. One whose settings and files have not
// changed is the former one, with its connections.
func (l *loader) upstream(path string, p config.Port, out *Port) {
	u := p.Upstream
	if u == nil || u.Invalid {
		return
	}
	before := l.wrong.Len()
	address := upstream.Address{Host: u.Host}
	host, scheme := u.Host, u.Scheme
	if u.Socket.Value != "" {
		address.Socket, host = l.files.Beside(path, u.Socket.Value), "localhost"
	}
	h2c := scheme == "h2c"
	if h2c {
		scheme = "http"
	}
	var key strings.Builder
	fmt.Fprintf(&key, "%q %q %q %t %v %v %v %d %d %d %q %q\n", u.URL, address.Host, address.Socket, h2c, u.Headers, u.Timeout, u.Idle, u.Retries, u.Requests, u.CallerShare, u.Upgrades, u.Health)
	roots := x509.NewCertPool()
	for _, c := range l.certificates(path, u.Anchors, &key, "upstream") {
		roots.AddCert(c)
	}
	if u.Cert.Value != "" && u.Key.Value != "" {
		var held Port
		l.certificate(path, config.Port{Position: u.Position, Name: p.Name + ", upstream", Cert: u.Cert, Key: u.Key}, &held)
		if get := held.Config.Certificate; get != nil { // not with an editor: the certificate is on the nodes only
			out.Upstream.certificate, _ = get(nil) // l.certificate made it: there is no error
			out.Upstream.certificateFile = held.certificateFile
		}
		fmt.Fprintf(&key, "certificate %x\n", held.CertificateDigest)
	}
	if l.wrong.Len() > before {
		return // reported before
	}
	out.Upstream.key, out.Upstream.headers = key.String(), u.Headers.Names()
	old := l.previousPort(p.Name).Upstream
	if old.Upstream != nil && old.key == out.Upstream.key {
		out.Upstream.Upstream, out.Guard.Handler = old.Upstream, old.Upstream
		return
	}
	via := upstream.Plain(address, h2c, u.Timeout)
	if scheme == "https" {
		var err error
		if via, err = upstream.TLS(address, roots, out.Upstream.certificate, u.Timeout); err != nil {
			l.wrong.Merge(placed(err, path, u.Line()), configerror.Error{File: path, Line: u.Line()})
			return
		}
	}
	out.Upstream.Upstream = upstream.New(upstream.Config{
		Port: p.Name, URL: u.URL, Scheme: scheme, Host: host, Via: via, Headers: upstream.Headers(u.Headers), Timeout: u.Timeout, Idle: u.Idle,
		Retries: u.Retries, Requests: u.Requests, CallerShare: u.CallerShare, Upgrades: u.Upgrades, Health: u.Health,
		Tokens: l.program.Tokens, OnFailure: l.program.OnUpstreamFailure, OnHealth: l.program.OnUpstreamHealth,
	})
	if old.Upstream != nil {
		out.Upstream.Inherit(old.Upstream)
	}
	out.Guard.Handler = out.Upstream.Upstream
}

// ending returns the earliest end of the chain that the service is shown, or nil.
func (u *Upstream) ending(port string) *ending {
	if u.certificate == nil {
		return nil
	}
	first := certchain.Earliest(Chain(u.certificate))
	return &ending{
		about: "upstream", file: u.certificateFile, what: "the certificate of port " + port + " for its upstream", start: first.NotBefore, end: first.NotAfter,
		then: "the upstream refuses every request", hint: "renew it in " + u.certificateFile + ": a reload reads the new file",
	}
}

// CallerHeaders returns the names of the headers that carry callers to services: no caller may
// send one.
func (g *Generation) CallerHeaders() []string {
	var out []string
	for _, p := range g.AllPorts() {
		out = append(out, p.Upstream.headers...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Upstreams returns the services behind the ports.
func (g *Generation) Upstreams() []*upstream.Upstream {
	var out []*upstream.Upstream
	for _, p := range g.AllPorts() {
		if p.Upstream.Upstream != nil {
			out = append(out, p.Upstream.Upstream)
		}
	}
	return out
}
