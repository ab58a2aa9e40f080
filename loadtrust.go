package mtlsguard

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/mistake"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

// trust reads what a port judges its clients by.
func (l *loader) trust(path string, p portFile, out *portGeneration) {
	c := trust.Config{Profile: p.trust.profile, Revocation: p.trust.revocation, MaxLeafLifetime: p.trust.maxLife, Now: l.now}
	key := sha256.New()
	fmt.Fprintf(key, "%d %d %d\n", c.Profile, c.Revocation, c.MaxLeafLifetime)
	l.responder(p.trust, &c, key)
	inForce, madeFrom := l.inForce(p.name)
	before := l.wrong.Len()
	for _, n := range p.trust.anchors {
		name := l.files.beside(path, n.name)
		if data, ok := l.need(place(path, n), name); ok {
			certs, err := trust.ReadCertificates(name, data)
			l.wrong.Merge(err, mistake.Mistake{File: name})
			c.Anchors = append(c.Anchors, certs...)
			fmt.Fprintf(key, "anchors %x\n", sha256.Sum256(data))
		}
	}
	out.fetch = l.sources(path, p.trust, c.Anchors)
	for _, n := range p.trust.crls {
		for _, name := range l.crlFiles(path, n) {
			if data, ok := l.need(place(path, n), name); ok {
				c.CRLs = append(c.CRLs, l.crls(name, data, c.Anchors, inForce)...)
				fmt.Fprintf(key, "crls %x\n", sha256.Sum256(data))
			}
		}
	}
	for _, n := range p.trust.revoked {
		name := l.files.beside(path, n.name)
		if data, ok := l.need(place(path, n), name); ok {
			certs, err := trust.ReadCertificates(name, data)
			l.wrong.Merge(err, mistake.Mistake{File: name})
			c.MustBeRevoked = append(c.MustBeRevoked, certs...)
			fmt.Fprintf(key, "revoked %x\n", sha256.Sum256(data))
		}
	}
	if l.wrong.Len() > before {
		return
	}
	key.Sum(out.trustKey[:0])
	verifier := inForce
	if inForce == nil || madeFrom != out.trustKey {
		var err error
		if verifier, err = trust.New(c); err != nil {
			l.wrong.Merge(placed(err, path, p.trust.node.Line), mistake.Mistake{File: path, Line: p.trust.node.Line})
			return
		}
	}
	for _, w := range verifier.Warnings() {
		l.warn("port %s: %s", p.name, w)
	}
	out.config.Trust, out.guard.Trust = verifier, verifier
}

// responder makes the OCSP client.
func (l *loader) responder(t *trustFile, c *trust.Config, key io.Writer) {
	if t.ocsp == nil {
		return
	}
	config := *t.ocsp
	config.Now = l.now
	client, err := ocsp.New(config)
	l.wrong.Merge(err, mistake.Mistake{File: l.path, Line: t.node.Line})
	if err == nil {
		c.Responder = client
	}
	fmt.Fprintf(key, "ocsp %q %d %t\n", config.URL, config.Timeout, config.Nonce)
}

// crlFiles are the files that an entry of crls means: itself, or what lies in it if
// it is a folder.
func (l *loader) crlFiles(path string, n named) []string {
	name := l.files.beside(path, n.name)
	inside, ok := l.files.list(name)
	if !ok {
		return []string{name}
	}
	if len(inside) == 0 {
		l.blame(place(path, n), name, fmt.Sprintf("the folder %s holds no CRL", name), "files that end in .crl, .pem or .der")
	}
	return inside
}

// firstFetch is how long a CRL that is not there yet may take at the start.
const firstFetch = 10 * time.Second

// sources are the CRLs to keep fresh. One whose file is not there yet is fetched
// now: without it nothing could start.
func (l *loader) sources(path string, t *trustFile, anchors []*x509.Certificate) []crlfetch.Source {
	var out []crlfetch.Source
	for _, f := range t.fetch {
		s := crlfetch.Source{URL: f.url, File: l.files.beside(path, f.file), Anchors: anchors}
		out = append(out, s)
		if _, err := l.files.get(s.File); !errors.Is(err, fs.ErrNotExist) || l.files.fsys != nil || len(anchors) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), firstFetch)
		err := (&crlfetch.Fetcher{Now: l.now}).Fetch(ctx, s)
		cancel()
		if err != nil {
			l.wrong.Add(mistake.Mistake{File: path, Line: f.node.Line, What: fmt.Sprintf("the CRL %s cannot be fetched: %s", f.url, err), Hint: "put the file there by hand, or mend the way to the server"})
			continue
		}
		l.files.forget(s.File)
	}
	return out
}

// placed gives mistakes that name no file the place that they belong to.
func placed(err error, path string, line int) error {
	var out []error
	for _, m := range mistake.All(err) {
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

// crls reads revocation lists. None may be older than what is in force.
func (l *loader) crls(name string, data []byte, anchors []*x509.Certificate, inForce *trust.Verifier) []*x509.RevocationList {
	found, err := trust.ReadCRLs(name, data)
	l.wrong.Merge(err, mistake.Mistake{File: name})
	var out []*x509.RevocationList
	for _, crl := range found {
		err := trust.CheckCRL(crl.List, anchors, l.now())
		if err == nil && inForce != nil {
			err = inForce.CheckNewer(crl.List)
		}
		if err != nil {
			l.wrong.Merge(placed(err, name, crl.Line), mistake.Mistake{File: name, Line: crl.Line})
			continue
		}
		out = append(out, crl.List)
	}
	return out
}

// inForce returns the verifier of a port, if there is one already, and what it was
// made from. Made from the same it is taken again: its generation, its sessions and
// what it has verified stay.
func (l *loader) inForce(port string) (v *trust.Verifier, madeFrom [sha256.Size]byte) {
	if l.previous == nil {
		return nil, madeFrom
	}
	for _, p := range l.previous.ports {
		if p.config.Name == port {
			return p.config.Trust, p.trustKey
		}
	}
	return nil, madeFrom
}
