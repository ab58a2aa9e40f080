// Package site loads one generation of a server's configuration: mtlsguard.yaml and all
// files that it names become verifiers, a table of mappings, a policy engine, and the
// configurations of ports and tunnels. It also checks what is probably not meant (Lint).
package site

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

// Generation is one loaded configuration. It is immutable.
type Generation struct {
	Files    *fileset.Reader
	Reload   time.Duration
	Ports    []Port
	Tunnel   *Tunnel // nil: no gateway is dialled
	Table    *certmap.Table
	Engine   *policy.Engine
	Warnings []string
}

// Port is one port of a Generation, or the tunnels to gateways as one.
type Port struct {
	Line              int                  // in mtlsguard.yaml
	Registration      *config.Registration // nil where servers do not register
	Tunnel            *config.Tunnel       // nil where the handler is here
	Config            ports.Config
	Guard             middleware.PortConfig
	CertificateDigest [sha256.Size]byte // of the files of the certificate and its key
	clients           Trust             // of connections
	gateways          Trust             // of connections too, if clients has no verifier
	users             Trust             // of forwarded certificates
}

// Same reports whether an open port needs no change.
func (p Port) Same(q Port) bool {
	return p.clients.key == q.clients.key && p.Config.Trust == q.Config.Trust && p.CertificateDigest == q.CertificateDigest &&
		p.Config.Limits == q.Config.Limits && p.Config.MinVersion == q.Config.MinVersion && p.Config.CancelRequests == q.Config.CancelRequests
}

// Trust is a verifier, the digest of its sources, and what renews its CRLs. The zero value
// stands for a port without one.
type Trust struct {
	Verifier *trust.Verifier
	key      [sha256.Size]byte
	fetch    []crlfetch.Source
	asks     responder
}

// Trusts returns those that the port has.
func (p *Port) Trusts() []*Trust {
	return slices.DeleteFunc([]*Trust{&p.clients, &p.gateways, &p.users}, func(t *Trust) bool { return t.Verifier == nil })
}

// responder is an OCSP client, and the settings that it was made from. A reload keeps the
// client and its cached responses: otherwise every reload would ask about every certificate
// again, and all of them would be refused while the responder is down.
type responder struct {
	client   *ocsp.Client
	madeFrom string
}

// loader turns files into a Generation. It collects the errors of all files before it
// gives up.
type loader struct {
	ctx      context.Context // of what is fetched
	path     string
	files    *fileset.Reader
	previous *Generation // nil at the start
	wrong    errorlist.List
	warnings []string
	clock    func() time.Time       // nil: time.Now
	fetched  map[string]fetchedFile // by real path
}

// fetchedFile is where a CRL file is fetched from, and where that is configured.
type fetchedFile struct {
	file, url string
	line      int
}

// Load reads a configuration and all files that it names. previous is the current
// generation, or nil at the start. now is the clock; nil is time.Now. The error joins every
// configuration error; then the Generation is nil.
func Load(ctx context.Context, path string, f *fileset.Reader, previous *Generation, now func() time.Time) (*Generation, error) {
	return (&loader{ctx: ctx, path: path, files: f, previous: previous, clock: now}).load()
}

// now reads the clock by which certificates are verified.
func (l *loader) now() time.Time {
	if l.clock == nil {
		return time.Now()
	}
	return l.clock()
}

func (l *loader) load() (*Generation, error) {
	path := l.path
	data, ok := l.text(configerror.Error{File: path}, path)
	if !ok {
		return nil, l.err()
	}
	f := config.Parse(path, data, &l.wrong)
	if f == nil {
		return nil, l.err()
	}
	g := &Generation{Files: l.files, Reload: f.Reload}
	var names, methods []string
	for _, p := range f.AllPorts() {
		if p.Authorizes() { // a rule for another port would mean nothing
			names = append(names, p.Name)
			methods = append(methods, p.Methods...)
		}
	}
	g.Table = l.users(path, f, names)
	g.Engine = l.policy(path, f, names, methods)
	for _, p := range f.Ports {
		g.Ports = append(g.Ports, l.port(path, p))
	}
	if f.Reverse != nil {
		g.Tunnel = l.reverse(path, f.Reverse)
	}
	l.rejectEmptied()
	if err := l.err(); err != nil {
		return nil, err
	}
	l.checkGuard(path, f, g)
	if err := l.err(); err != nil {
		return nil, err
	}
	g.Warnings = l.warnings
	return g, nil
}

// err joins the errors. An error of a file that several ports name is reported once.
func (l *loader) err() error {
	var once []error
	seen := map[configerror.Error]bool{}
	for _, m := range configerror.All(l.wrong.Err()) {
		if m.Hint == "" {
			m.Hint = "key: value lines, indented alike, with blanks and not with tabs"
			if m.File != l.path {
				m.Hint = "compare it with a file that works"
			}
		}
		if !seen[*m] {
			seen[*m] = true
			once = append(once, m)
		}
	}
	return errors.Join(once...)
}

// need reads a file, or adds an error: at the start with the position at which the file is
// named, later with the name of the file.
func (l *loader) need(at configerror.Error, name string) ([]byte, bool) {
	data, err := l.files.Get(name)
	if err == nil {
		return data, true
	}
	l.blame(at, name, err.Error(), "paths are relative to the file that they stand in")
	return nil, false
}

// text is need for files that people write. It rejects a private key in the wrong place:
// errors quote the text, so the key would end up in logs.
func (l *loader) text(at configerror.Error, name string) ([]byte, bool) {
	data, ok := l.need(at, name)
	if ok && (bytes.Contains(data, []byte("-----BEGIN ")) || bytes.Contains(data, []byte("PRIVATE KEY"))) {
		l.wrong.Add(configerror.Error{File: name, What: "the file holds a certificate or a key", Hint: "compare it with a file that works, and see who could read it"})
		return nil, false
	}
	return data, ok
}

// blame adds an error of a file as a whole.
func (l *loader) blame(at configerror.Error, name, what, hint string) {
	at.What, at.Hint = what, hint
	if l.previous != nil && at.File != name {
		at = configerror.Error{File: name, What: what, Hint: "it is named at " + at.Position()}
	}
	l.wrong.Add(at)
}

func (l *loader) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

// Stand-ins for files that are wrong, or not needed.
var (
	emptyTable, _ = certmap.New()
	denyAll, _    = policy.New(nil, nil)
)

func (l *loader) users(path string, f *config.File, ports []string) *certmap.Table {
	if f.Users.Value == "" {
		for _, p := range f.AllPorts() {
			if p.Authorizes() && (p.Trust != nil || p.Forwarded != nil) {
				l.wrong.Add(configerror.Error{File: path, Line: p.Line(), What: "users is missing, and a port asks for certificates", Hint: "users: users.yaml says which certificate is which user"})
				break
			}
		}
		return emptyTable
	}
	name := l.files.Beside(path, f.Users.Value)
	data, ok := l.text(f.Users.In(path), name)
	if !ok {
		return nil
	}
	table, err := certmap.Load(name, bytes.NewReader(data), certmap.WithPorts(ports...), certmap.WithIssuers(func(issuer string) (trust.Digest, error) {
		return l.issuer(name, issuer)
	}))
	l.wrong.Merge(err, configerror.Error{File: name})
	if table != nil && l.clock != nil {
		table = table.WithClock(l.clock) // one clock for certificates and for mappings
	}
	return table
}

// issuer reads the public key of a CA certificate that a mapping names.
func (l *loader) issuer(users, name string) (trust.Digest, error) {
	file := l.files.Beside(users, name)
	data, err := l.files.Get(file)
	if err != nil {
		return trust.Digest{}, err
	}
	certs, err := trust.ReadCertificates(file, data)
	switch {
	case err != nil:
		l.wrong.Merge(err, configerror.Error{File: file}) // where it is wrong, besides where it is named
		return trust.Digest{}, err
	case len(certs) != 1:
		return trust.Digest{}, fmt.Errorf("%s holds %d certificates, and an issuer is one", file, len(certs))
	case !certs[0].IsCA:
		return trust.Digest{}, fmt.Errorf("%s is not the certificate of a CA", file)
	}
	return trust.SPKIOf(certs[0]), nil
}

func (l *loader) policy(path string, f *config.File, names, methods []string) *policy.Engine {
	if f.Policy.Value == "" {
		return denyAll // config.Parse has reported it, if the policy is needed
	}
	name := l.files.Beside(path, f.Policy.Value)
	data, ok := l.text(f.Policy.In(path), name)
	if !ok {
		return nil
	}
	engine, err := policy.Load(name, bytes.NewReader(data), policy.WithPorts(names...), policy.WithMethods(methods...))
	l.wrong.Merge(placed(err, name, 0), configerror.Error{File: name})
	if err == nil {
		if rules, _ := engine.Rules(); len(rules) == 0 {
			l.warn("%s has no rule: everything is denied", name)
		}
	}
	return engine
}

// rejectEmptied rejects a file that had content and has none now: it is being written, or
// writing it failed.
func (l *loader) rejectEmptied() {
	if l.previous == nil {
		return
	}
	for name, c := range l.files.Read {
		if old, ok := l.previous.Files.Read[name]; ok && c.Empty() && old.Err == nil && !old.Empty() {
			l.wrong.Add(configerror.Error{File: name, Line: 1, What: "the file has become empty", Hint: "write a new file beside it and rename it over the old one"})
		}
	}
}

func (l *loader) port(path string, p config.Port) Port {
	out := l.guard(p)
	out.Config = ports.Config{Name: p.Name, Addr: p.Listen, ClientAuth: p.ClientAuth, MinVersion: p.MinVersion, CancelRequests: p.CancelRequests, Limits: p.Limits}
	if p.Cert.Value != "" && p.Key.Value != "" {
		l.certificate(path, p, &out)
	}
	l.verifiers(path, p, &out)
	if p.ClientAuth == ports.None {
		if host, _, _ := net.SplitHostPort(p.Listen); host == "" || net.ParseIP(host).IsUnspecified() {
			l.warn("port %s asks for no certificate and listens on every address", p.Name)
		}
	}
	return out
}

// guard returns the guard's part of a port.
func (*loader) guard(p config.Port) Port {
	out := Port{
		Line: p.Line(), Registration: p.Registration, Tunnel: p.Tunnel,
		Guard: middleware.PortConfig{Unmapped: p.Unmapped, Methods: p.Methods, ServerNames: p.ServerNames},
	}
	if !p.Strict {
		out.Guard.Fallback = middleware.ToDefault
	}
	return out
}

// checkGuard builds everything once, so that settings that are wrong only together are
// rejected before any of them takes effect.
func (l *loader) checkGuard(path string, f *config.File, g *Generation) {
	for i, p := range f.Ports {
		_, err := ports.New(g.Ports[i].Config)
		l.wrong.Merge(placed(err, path, p.Line()), configerror.Error{File: path, Line: p.Line()})
	}
	all := g.AllPorts()
	for i, p := range f.AllPorts() {
		_, err := middleware.New(middleware.Config{Map: g.Table, Policy: g.Engine, PerPort: map[string]middleware.PortConfig{p.Name: all[i].Guard}})
		l.wrong.Merge(placed(err, path, p.Line()), configerror.Error{File: path, Line: p.Line()})
	}
	l.checkRegistration(path, f, g)
	l.checkReverse(path, f, g)
}
