package site

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

// verifiers makes the verifiers of a port: for clients, and behind gateways for gateways
// and forwarded certificates.
func (l *loader) verifiers(path string, p config.Port, out *Port) {
	old := l.previousPort(p.Name)
	if p.Trust != nil {
		out.clients = l.trust(path, "port "+p.Name, p.Trust, old.clients)
	}
	if f := p.Forwarded; f != nil {
		l.forwarded(path, p.Name, f, out, old)
	}
	out.Config.Trust, out.Guard.Trust = out.clients.Verifier, out.clients.Verifier
}

// forwarded makes the receiver of forwarded certificates.
func (l *loader) forwarded(path, port string, f *config.Forwarded, out *Port, old Port) {
	var gateways *trust.Verifier
	switch {
	case f.Gateway == nil:
		gateways = out.clients.Verifier
	case out.clients.Verifier == nil:
		out.clients = l.trust(path, "port "+port+", gateway", f.Gateway, old.clients) // who shows a certificate here is a gateway
		gateways = out.clients.Verifier
	default:
		out.gateways = l.trust(path, "port "+port+", gateway", f.Gateway, old.gateways)
		gateways = out.gateways.Verifier
		if gateways != nil && !trustaccess.SharesAnchor(gateways, out.clients.Verifier) {
			l.wrong.Add(configerror.Error{File: path, Line: f.Line(), What: "no gateway can connect: the port's trust and the gateway's have no anchor in common", Hint: "leave the port's own trust out; what users are judged by is forwarded: {trust: …}"})
		}
	}
	if f.Users != nil {
		out.users = l.trust(path, "port "+port+", forwarded", f.Users, old.users)
	}
	if f.Invalid || gateways == nil || out.users.Verifier == nil {
		return // told
	}
	receiver, err := forwarded.New(forwarded.Config{
		Topology: f.Topology, Users: out.users.Verifier, Gateways: forwarded.Gateways{Pins: f.Pins, Names: f.Names, Trust: gateways},
	})
	l.wrong.Merge(placed(err, path, f.Line()), configerror.Error{File: path, Line: f.Line()})
	out.Guard.Forwarded = receiver
}

// trust makes a verifier, or returns the old one if it was made from the same content: its
// generation, sessions and cached results stay.
func (l *loader) trust(path, where string, t *config.Trust, old Trust) (out Trust) {
	c := trust.Config{Profile: t.Profile, Usage: t.Usage, Revocation: t.Revocation, MaxLeafLifetime: t.MaxLeafLifetime, MaxDepth: t.MaxDepth, Now: l.clock}
	key := sha256.New()
	fmt.Fprintf(key, "%d %d %d %d %d\n", c.Usage, c.Profile, c.Revocation, c.MaxLeafLifetime, c.MaxDepth)
	before := l.wrong.Len()
	l.responder(t, &c, &out, old, key)
	var lists []placedCRL
	c.Anchors = l.certificates(path, t.Anchors, key, "anchors")
	c.CRLIssuers = l.certificates(path, t.CRLIssuers, key, "crl issuers")
	out.fetch = l.sources(path, t, c.Anchors)
	for _, source := range out.fetch {
		for _, issuer := range source.Issuers {
			c.CRLIssuers = append(c.CRLIssuers, issuer)
			fmt.Fprintf(key, "crl issuer %x\n", sha256.Sum256(issuer.Raw))
		}
	}
	for _, n := range t.CRLs {
		for _, name := range l.crlFiles(path, n) {
			if data, ok := l.need(n.In(path), name); ok {
				lists = append(lists, l.crls(name, data, slices.Concat(c.Anchors, c.CRLIssuers))...)
				fmt.Fprintf(key, "crls %x\n", sha256.Sum256(data))
			}
		}
	}
	c.MustBeRevoked = l.certificates(path, t.MustBeRevoked, key, "revoked")
	if t.Invalid || l.wrong.Len() > before || len(c.Anchors) == 0 { // without anchors parse has told
		return out
	}
	for _, list := range lists {
		c.CRLs = append(c.CRLs, list.List)
	}
	key.Sum(out.key[:0])
	verifier := old.Verifier
	if verifier == nil || old.key != out.key {
		var err error
		if verifier, err = trust.New(c); err != nil {
			l.wrong.Merge(placed(err, path, t.Line()), configerror.Error{File: path, Line: t.Line()})
			return out
		}
	}
	if old.Verifier != nil && !l.checkNoneOlder(lists, verifier, old.Verifier) {
		return out
	}
	for _, w := range trustaccess.Warnings(verifier) {
		l.warn("%s: %s", where, w)
	}
	out.Verifier = verifier
	return out
}

// certificates reads the certificates of PEM files, and adds their content to a key.
func (l *loader) certificates(path string, files []config.Scalar, key io.Writer, what string) []*x509.Certificate {
	var out []*x509.Certificate
	for _, n := range files {
		name := l.files.Beside(path, n.Value)
		if data, ok := l.need(n.In(path), name); ok {
			certs, err := trust.ReadCertificates(name, data)
			l.wrong.Merge(err, configerror.Error{File: name})
			out = append(out, certs...)
			fmt.Fprintf(key, "%s %x\n", what, sha256.Sum256(data))
		}
	}
	return out
}

// responder takes the old OCSP client again, or makes one.
func (l *loader) responder(t *config.Trust, c *trust.Config, out *Trust, old Trust, key io.Writer) {
	if t.OCSP == nil {
		return
	}
	config := *t.OCSP
	config.Now = l.clock
	out.asks.madeFrom = fmt.Sprintf("ocsp %q %d %t\n", config.URL, config.Timeout, config.Nonce)
	if old.asks.madeFrom == out.asks.madeFrom {
		out.asks = old.asks
	} else {
		client, err := ocsp.New(config)
		if err != nil {
			l.wrong.Merge(placed(err, l.path, t.Line()), configerror.Error{File: l.path, Line: t.Line()})
			return
		}
		out.asks.client = client
	}
	c.Responder = out.asks.client
	io.WriteString(key, out.asks.madeFrom)
}

// crlFiles are the files that an entry of crls means: itself, or what lies in it if
// it is a folder.
func (l *loader) crlFiles(path string, n config.Scalar) []string {
	name := l.files.Beside(path, n.Value)
	inside, ok := l.files.List(name)
	if !ok {
		return []string{name}
	}
	if len(inside) == 0 {
		l.blame(n.In(path), name, fmt.Sprintf("the folder %s holds no CRL", name), "files that end in .crl, .pem or .der")
	}
	return inside
}

// firstFetch is how long a CRL that is not there yet may take at the start.
const firstFetch = 10 * time.Second

// refetch is how long a reload waits before it tries again to fetch a CRL that is not
// there.
const refetch = time.Minute

// sources are the CRLs to keep fresh. One whose file is not there yet is fetched
// now: without it nothing could start.
func (l *loader) sources(path string, t *config.Trust, anchors []*x509.Certificate) []crlfetch.Source {
	var out []crlfetch.Source
	for _, f := range t.Fetch {
		s := crlfetch.Source{URL: f.URL, File: l.files.Beside(path, f.File), Anchors: anchors, MaxBytes: int64(f.MaxBytes)}
		if l.files.FS != nil {
			l.wrong.Add(configerror.Error{File: path, Line: f.Line(), What: "fetch has nowhere to write: the configuration is part of the program", Hint: "use a configuration on disk"})
			continue
		}
		if f.Issuer.Value != "" {
			name := l.files.Beside(path, f.Issuer.Value)
			data, ok := l.need(f.Issuer.In(path), name)
			if !ok {
				continue
			}
			certs, err := trust.ReadCertificates(name, data)
			l.wrong.Merge(err, configerror.Error{File: name})
			s.Issuers = certs
		}
		if !l.fetchedOnce(path, f, &s) {
			continue
		}
		out = append(out, s)
		if _, err := l.files.Get(s.File); !errors.Is(err, fs.ErrNotExist) || len(anchors) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(l.ctx, firstFetch)
		err := (&crlfetch.Fetcher{Now: l.clock}).Fetch(ctx, s)
		cancel()
		if err != nil {
			l.files.RetryAt(l.now().Add(refetch))
			l.wrong.Add(configerror.Error{File: path, Line: f.Line(), What: fmt.Sprintf("the CRL %s cannot be fetched: %s", f.URL, err), Hint: "put the file there by hand, or mend the way to the server"})
			continue
		}
		l.files.Forget(s.File)
	}
	return out
}

// fetchedOnce refuses a second URL for one file, however its name is written: one of the
// two would never be asked. Two sources of one file and URL get one name.
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
			File: path, Line: f.Line(), What: fmt.Sprintf("file %q is fetched from another URL in line %d", f.File, first.line), Hint: "one URL for each file",
		})
		return false
	default:
		s.File = first.file
	}
	return true
}

// realPath is a file's name without symbolic links. The file need not exist.
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

// placed gives mistakes that name no file the place that they belong to.
func placed(err error, path string, line int) error {
	var out []error
	for _, m := range configerror.All(err) {
		if m.File == "" {
			m.File, m.Line = path, line
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return err
	}
	return errors.Join(out...)
}

// placedCRL is a list and where it stands.
type placedCRL struct {
	trustaccess.CRL
	file string
}

// crls reads revocation lists.
func (l *loader) crls(name string, data []byte, authorities []*x509.Certificate) []placedCRL {
	found, err := trustaccess.ReadCRLs(name, data)
	l.wrong.Merge(err, configerror.Error{File: name})
	var out []placedCRL
	for _, crl := range found {
		now := l.now()
		if err := trustaccess.CheckCRL(crl.List, authorities, now); err != nil {
			if crl.List.ThisUpdate.After(now) { // the CA's clock is ahead: what it revokes must not wait for the next list
				l.files.RetryAt(crl.List.ThisUpdate)
			}
			l.wrong.Merge(placed(err, name, crl.Line), configerror.Error{File: name, Line: crl.Line})
			continue
		}
		out = append(out, placedCRL{crl, name})
	}
	return out
}

// checkNoneOlder rejects CRLs that are older than the current ones. A list that is not the
// newest of its issuer here does not count: a folder may hold last week's beside today's.
func (l *loader) checkNoneOlder(lists []placedCRL, here, inForce *trust.Verifier) bool {
	fine := true
	for _, list := range lists {
		if err := trustaccess.CheckNotOlder(inForce, list.List); err != nil && trustaccess.CheckNotOlder(here, list.List) == nil {
			l.wrong.Merge(placed(err, list.file, list.Line), configerror.Error{File: list.file, Line: list.Line})
			fine = false
		}
	}
	return fine
}

// previousPort returns a port of the current generation, or the zero value.
func (l *loader) previousPort(port string) Port {
	if l.previous != nil {
		for _, p := range l.previous.AllPorts() {
			if p.Config.Name == port {
				return p
			}
		}
	}
	return Port{}
}

// Sources returns the CRLs to renew.
func (p *Port) Sources() []crlfetch.Source {
	return slices.Concat(p.clients.fetch, p.gateways.fetch, p.users.fetch)
}

// FreshUntil returns the earliest next update of a port's CRLs; zero where none is needed.
func (p *Port) FreshUntil() (earliest time.Time) {
	for _, t := range p.Trusts() {
		if until := trustaccess.CRLsFreshUntil(t.Verifier); !until.IsZero() && (earliest.IsZero() || until.Before(earliest)) {
			earliest = until
		}
	}
	return earliest
}
