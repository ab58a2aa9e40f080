package mtlsguard

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/mistake"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// generation is everything that one reading of the files gave. It is immutable.
type generation struct {
	files    *files
	reload   time.Duration
	ports    []portGeneration
	table    *certmap.Table
	engine   *policy.Engine
	warnings []string
}

type portGeneration struct {
	config   ports.Config
	guard    middleware.PortConfig
	trustKey [sha256.Size]byte // what the trust was made from
	certKey  [sha256.Size]byte // what the certificate was made from
}

// loader turns files into a generation. Every mistake of every file is noted
// before it gives up.
type loader struct {
	files    *files
	previous *generation // nil at the start
	wrong    mistake.List
	warnings []string
	now      func() time.Time
}

func (l *loader) load(path string) (*generation, error) {
	data, ok := l.files.need(&l.wrong, mistake.Mistake{File: path}, path)
	if !ok {
		return nil, l.wrong.Err()
	}
	f := parse(path, data, &l.wrong)
	if f == nil {
		return nil, l.wrong.Err()
	}
	g := &generation{files: l.files, reload: f.reload}
	var names, methods []string
	for _, p := range f.ports {
		names = append(names, p.name)
		methods = append(methods, p.methods...)
	}
	g.table = l.users(path, f, names)
	g.engine = l.policy(path, f, names, methods)
	for _, p := range f.ports {
		g.ports = append(g.ports, l.port(path, p))
	}
	l.becameEmpty()
	if err := l.wrong.Err(); err != nil {
		return nil, err
	}
	l.checkGuard(path, f, g)
	if err := l.wrong.Err(); err != nil {
		return nil, err
	}
	g.warnings = l.warnings
	return g, nil
}

func (l *loader) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

// place is where a name stands in mtlsguard.yaml.
func place(path string, n named) mistake.Mistake {
	return mistake.Mistake{File: path, Line: n.node.Line, Column: n.node.Column}
}

func (l *loader) users(path string, f *file, ports []string) *certmap.Table {
	if f.users.name == "" {
		for _, p := range f.ports {
			if p.trust != nil {
				l.wrong.Add(mistake.Mistake{File: path, Line: p.node.Line, What: "users is missing, and a port asks for certificates", Hint: "users: users.yaml says which certificate is which user"})
				break
			}
		}
		table, _ := certmap.New()
		return table
	}
	name := l.files.beside(path, f.users.name)
	data, ok := l.files.need(&l.wrong, place(path, f.users), name)
	if !ok {
		return nil
	}
	table, err := certmap.ReadTable(name, data, func(issuer string) (trust.Digest, error) {
		return l.issuer(name, issuer)
	}, certmap.WithPorts(ports...))
	l.wrong.Merge(err, mistake.Mistake{File: name})
	return table
}

// issuer reads the public key of a CA certificate that a mapping names.
func (l *loader) issuer(users, name string) (trust.Digest, error) {
	file := l.files.beside(users, name)
	data, err := l.files.get(file)
	if err != nil {
		return trust.Digest{}, err
	}
	certs, err := trust.ReadCertificates(file, data)
	switch {
	case err != nil:
		return trust.Digest{}, err
	case len(certs) != 1:
		return trust.Digest{}, fmt.Errorf("%s holds %d certificates, and an issuer is one", file, len(certs))
	case !certs[0].IsCA:
		return trust.Digest{}, fmt.Errorf("%s is not the certificate of a CA", file)
	}
	return trust.SPKIOf(certs[0]), nil
}

func (l *loader) policy(path string, f *file, names, methods []string) *policy.Engine {
	if f.policy.name == "" {
		return nil // noted by parse
	}
	name := l.files.beside(path, f.policy.name)
	data, ok := l.files.need(&l.wrong, place(path, f.policy), name)
	if !ok {
		return nil
	}
	if len(data) == 0 && l.previous == nil {
		l.warn("%s is empty: everything is denied", name)
	}
	engine, err := policy.Load(name, bytes.NewReader(data), policy.Ports(names...), policy.Methods(methods...))
	l.wrong.Merge(err, mistake.Mistake{File: name})
	return engine
}

// becameEmpty refuses a file that had content and has none now: it is being
// written, or something went wrong, and nobody meant it.
func (l *loader) becameEmpty() {
	if l.previous == nil {
		return
	}
	empty := sha256.Sum256(nil)
	for name, c := range l.files.read {
		if old, ok := l.previous.files.read[name]; ok && c.err == nil && c.digest == empty && old.err == nil && old.digest != empty {
			l.wrong.Add(mistake.Mistake{File: name, What: "the file has become empty", Hint: "write a new file beside it and rename it over the old one"})
		}
	}
}

func (l *loader) port(path string, p portFile) portGeneration {
	out := portGeneration{
		config: ports.Config{Name: p.name, Addr: p.listen, ClientAuth: p.clientCert, MinVersion: p.minVersion, Limits: p.limits},
		guard:  middleware.PortConfig{Unmapped: p.unmapped, Methods: p.methods, ServerNames: p.serverNames},
	}
	if !p.strict {
		out.guard.Fallback = middleware.ToDefault
	}
	if p.cert.name != "" && p.key.name != "" {
		l.certificate(path, p, &out)
	}
	if p.trust != nil {
		l.trust(path, p, &out)
	}
	if p.clientCert == ports.None && p.trust == nil {
		if host, _, _ := net.SplitHostPort(p.listen); host == "" || net.ParseIP(host).IsUnspecified() {
			l.warn("port %s asks for no certificate and listens on every address", p.name)
		}
	}
	return out
}

func (l *loader) certificate(path string, p portFile, out *portGeneration) {
	certName, keyName := l.files.beside(path, p.cert.name), l.files.beside(path, p.key.name)
	certPEM, ok := l.files.need(&l.wrong, place(path, p.cert), certName)
	keyPEM, okKey := l.files.need(&l.wrong, place(path, p.key), keyName)
	if !ok || !okKey {
		return
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		l.wrong.Add(mistake.Mistake{File: certName, What: fmt.Sprintf("certificate and key of port %s cannot be used: %s", p.name, err),
			Hint: "the key in " + keyName + " must be that of the first certificate"})
		return
	}
	if now := l.now(); now.After(pair.Leaf.NotAfter) {
		l.warn("the certificate of port %s expired at %s", p.name, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	out.config.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }
	out.certKey = sha256.Sum256(slices.Concat(certPEM, []byte{0}, keyPEM))
}

func (l *loader) trust(path string, p portFile, out *portGeneration) {
	c := trust.Config{Profile: p.trust.profile, Revocation: p.trust.revocation, Now: l.now}
	key := sha256.New()
	fmt.Fprintf(key, "%d %d\n", c.Profile, c.Revocation)
	before := l.wrong.Len()
	for _, n := range p.trust.anchors {
		name := l.files.beside(path, n.name)
		if data, ok := l.files.need(&l.wrong, place(path, n), name); ok {
			certs, err := trust.ReadCertificates(name, data)
			l.wrong.Merge(err, mistake.Mistake{File: name})
			c.Anchors = append(c.Anchors, certs...)
			fmt.Fprintf(key, "anchors %x\n", sha256.Sum256(data))
		}
	}
	for _, n := range p.trust.crls {
		name := l.files.beside(path, n.name)
		if data, ok := l.files.need(&l.wrong, place(path, n), name); ok {
			c.CRLs = append(c.CRLs, l.crls(name, data, c.Anchors)...)
			fmt.Fprintf(key, "crls %x\n", sha256.Sum256(data))
		}
	}
	if l.wrong.Len() > before {
		return
	}
	key.Sum(out.trustKey[:0])
	verifier := l.knownTrust(p.name, out.trustKey)
	if verifier == nil {
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

func (l *loader) crls(name string, data []byte, anchors []*x509.Certificate) []*x509.RevocationList {
	found, err := trust.ReadCRLs(name, data)
	l.wrong.Merge(err, mistake.Mistake{File: name})
	var out []*x509.RevocationList
	for _, crl := range found {
		if err := trust.CheckCRL(crl.List, anchors, l.now()); err != nil {
			l.wrong.Merge(placed(err, name, crl.Line), mistake.Mistake{File: name, Line: crl.Line})
			continue
		}
		out = append(out, crl.List)
	}
	return out
}

// knownTrust returns the verifier in force, where it was made from the same: its
// generation, its sessions and what it has verified stay.
func (l *loader) knownTrust(port string, key [sha256.Size]byte) *trust.Verifier {
	if l.previous == nil {
		return nil
	}
	for _, p := range l.previous.ports {
		if p.config.Name == port && p.trustKey == key {
			return p.config.Trust
		}
	}
	return nil
}

// checkGuard builds everything once, so that what is wrong only together is a
// mistake now and not after half of it is in force.
func (l *loader) checkGuard(path string, f *file, g *generation) {
	for i, p := range f.ports {
		_, err := ports.New(g.ports[i].config)
		l.wrong.Merge(placed(err, path, p.node.Line), mistake.Mistake{File: path, Line: p.node.Line})
		_, err = middleware.New(middleware.Config{Map: g.table, Policy: g.engine, PerPort: map[string]middleware.PortConfig{p.name: g.ports[i].guard}})
		l.wrong.Merge(placed(err, path, p.node.Line), mistake.Mistake{File: path, Line: p.node.Line})
	}
}
