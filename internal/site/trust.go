package site

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

// trust makes a verifier, or returns the old one if it was made from the same content: its
// generation, sessions and cached results stay.
func (l *loader) trust(path, where string, t *config.Trust, old Trust) (out Trust) {
	c := trust.Config{Profile: t.Profile, Usage: t.Usage, Revocation: t.Revocation, MaxLeafLifetime: t.MaxLeafLifetime, MaxDepth: t.MaxDepth, Now: l.clock}
	key := sha256.New()
	fmt.Fprintf(key, "%d %d %d %d %d\n", c.Usage, c.Profile, c.Revocation, c.MaxLeafLifetime, c.MaxDepth)
	before := l.wrong.Len()
	l.responder(t, &c, &out, old, key)
	var lists []placedCRL
	out.files, out.names = trustFiles{}, trustFiles{}
	out.where, out.line, out.off = where, t.Line(), t.Revocation == trust.RevocationOff
	out.profile = t.Profile
	c.Anchors = l.anchors(path, t.Anchors, t, key, &out)
	anchors := slices.Clone(c.Anchors)
	for _, d := range t.TrustDomains {
		if c.TrustDomains == nil {
			c.TrustDomains = map[string][]*x509.Certificate{}
		}
		fmt.Fprintf(key, "trust domain %q\n", d.Name)
		bundle := l.anchors(path, d.Anchors, t, key, &out)
		c.TrustDomains[d.Name], anchors = bundle, append(anchors, bundle...)
	}
	c.CRLIssuers = l.certificates(path, t.CRLIssuers, key, "crl issuers")
	out.fetch = l.sources(path, t, anchors)
	for _, source := range out.fetch {
		for _, issuer := range source.Issuers {
			c.CRLIssuers = append(c.CRLIssuers, issuer)
			fmt.Fprintf(key, "crl issuer %x\n", sha256.Sum256(issuer.Raw))
		}
	}
	for _, n := range t.CRLs {
		for _, name := range l.crlFiles(path, n) {
			if digest, ok := l.digest(n.In(path), name); ok {
				lists = append(lists, l.crls(n, path, name, digest, slices.Concat(anchors, c.CRLIssuers))...)
				fmt.Fprintf(key, "crls %x\n", digest)
			}
		}
	}
	c.MustBeRevoked = l.certificates(path, t.MustBeRevoked, key, "revoked")
	if t.Invalid || l.wrong.Len() > before || len(anchors) == 0 { // config.Parse has reported missing anchors
		return out
	}
	parsed := make([]trustaccess.ParsedCRL, 0, len(lists))
	for _, list := range lists {
		parsed = append(parsed, list.ParsedCRL)
		out.files[string(list.List.Signature)], out.names[string(list.List.Signature)] = list.file, list.name
	}
	key.Sum(out.key[:0])
	verifier := old.Verifier
	if verifier == nil || old.key != out.key {
		var err error
		if verifier, err = trustaccess.New(c, parsed); err != nil {
			l.wrong.Merge(placed(err, path, t.Line()), configerror.Error{File: path, Line: t.Line()})
			return out
		}
	}
	if old.Verifier != nil && !l.checkNoneOlder(lists, verifier, old.Verifier) {
		return out
	}
	for _, w := range trustaccess.Warnings(verifier) {
		what := where + ": " + w.What
		if w.Anchor != nil {
			what = where + ", " + out.names[string(w.Anchor.Raw)] + ": " + w.What
		}
		l.warn("trust", configerror.Error{File: path, Line: t.Line()}, what, w.Hint)
	}
	out.Verifier = verifier
	return out
}

// anchors reads files of anchors, and notes in out where each anchor is from.
func (l *loader) anchors(path string, files []config.Scalar, t *config.Trust, key io.Writer, out *Trust) []*x509.Certificate {
	var anchors []*x509.Certificate
	for _, n := range files {
		for _, a := range l.readCertificates(path, []config.Scalar{n}, key, "anchors") {
			l.wrong.Merge(l.checkAnchor(a, t.Profile), configerror.Error{})
			out.files[string(a.Cert.Raw)], out.names[string(a.Cert.Raw)] = a.file, n.Value
			anchors = append(anchors, a.Cert)
		}
	}
	return anchors
}

// certificates reads the certificates of PEM files, and adds their content to a key.
func (l *loader) certificates(path string, files []config.Scalar, key io.Writer, what string) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range l.readCertificates(path, files, key, what) {
		out = append(out, c.Cert)
	}
	return out
}

// placedCertificate is a certificate and where it stands.
type placedCertificate struct {
	trustaccess.Certificate
	file string
}

// checkAnchor returns why a certificate cannot be an anchor, with its position.
func (l *loader) checkAnchor(a placedCertificate, p trust.Profile) error {
	err := trustaccess.CheckAnchor(a.Cert, p)
	for _, e := range configerror.All(err) {
		e.File, e.Line = a.file, a.Line
		if strings.HasPrefix(e.What, "cannot be read") {
			e.Hint += "; " + fileform.Parts(a.file, a.Line)
		}
		e.What = fmt.Sprintf("the anchor, serial %X, %s", a.Cert.SerialNumber, e.What)
	}
	return err
}

func (l *loader) readCertificates(path string, files []config.Scalar, key io.Writer, what string) []placedCertificate {
	var out []placedCertificate
	for _, n := range files {
		name := l.files.Beside(path, n.Value)
		digest, ok := l.digest(n.In(path), name)
		if !ok {
			continue
		}
		for _, c := range l.certificatesOf(n.In(path), name, digest) {
			out = append(out, placedCertificate{c, name})
		}
		fmt.Fprintf(key, "%s %x\n", what, digest)
	}
	return out
}

// certificatesOf parses the certificates of a file, once for the same content.
func (l *loader) certificatesOf(at configerror.Error, name string, digest [sha256.Size]byte) []trustaccess.Certificate {
	certs, _ := keep(l, keyOf("certificates", digest), func() ([]trustaccess.Certificate, bool) {
		data, ok := l.need(at, name)
		if !ok {
			return nil, false
		}
		certs, err := trustaccess.ReadCertificates(name, data)
		l.wrong.Merge(err, configerror.Error{File: name})
		return certs, err == nil
	})
	return certs
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
		out.asks.client, out.asks.url = client, config.URL
	}
	c.Responder = out.asks.client
	io.WriteString(key, out.asks.madeFrom)
}
