package mtlsguard

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/mistake"
	"github.com/mtlsguard/mtlsguard/trust"
)

// trust reads what a port judges its clients by.
func (l *loader) trust(path string, p portFile, out *portGeneration) {
	c := trust.Config{Profile: p.trust.profile, Revocation: p.trust.revocation, Now: l.now}
	key := sha256.New()
	fmt.Fprintf(key, "%d %d\n", c.Profile, c.Revocation)
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
	for _, n := range p.trust.crls {
		name := l.files.beside(path, n.name)
		if data, ok := l.need(place(path, n), name); ok {
			c.CRLs = append(c.CRLs, l.crls(name, data, c.Anchors, inForce)...)
			fmt.Fprintf(key, "crls %x\n", sha256.Sum256(data))
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
