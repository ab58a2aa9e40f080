package importer

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Authority is a CA that a mapping names as its issuer. Its certificate is written beside
// users.yaml if a mapping names it.
type Authority struct {
	Name string // of the file, such as client-ca.pem
	Cert *x509.Certificate
}

// pem returns the file of the authority.
func (a *Authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Cert.Raw})
}

// readIssuers adds the authorities of a file.
func (in *Import) readIssuers(name string) error {
	entries, err := certfile.Read(name, certfile.Passwords{})
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, c := range append(e.Chain, e.Replaced...) {
			if !c.IsCA {
				return &configerror.Error{File: name, What: fmt.Sprintf("the certificate of %s is not an authority's", formatName(c)), Hint: "--issuer FILE with the certificates of the authorities that issue for users"}
			}
			in.AddAuthority(baseName(name), c)
		}
	}
	return nil
}

func baseName(name string) string {
	base := filepath.Base(name)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// AddAuthority adds an authority of the source, or returns the one that has this certificate. The
// name is that of its file without .pem.
func (in *Import) AddAuthority(name string, c *x509.Certificate) *Authority {
	for _, a := range in.authorities {
		if a.Cert.Equal(c) {
			return a
		}
	}
	base := escape.FileName(name)
	out := &Authority{Name: base + ".pem", Cert: c}
	for n := 2; in.authorityNamed(out.Name) != nil; n++ {
		out.Name = fmt.Sprintf("%s-%d.pem", base, n)
	}
	in.authorities = append(in.authorities, out)
	return out
}

// authorityNamed returns the authority of a file, or nil.
func (in *Import) authorityNamed(name string) *Authority {
	for _, a := range in.authorities {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// AuthorityBySubject returns the only authority with a subject, or nil.
func (in *Import) AuthorityBySubject(name dn.Name) (found *Authority) {
	for _, a := range in.authorities {
		if subject, err := dn.FromDER(a.Cert.RawSubject); err == nil && subject == name {
			if found != nil {
				return nil
			}
			found = a
		}
	}
	return found
}

var errNoAuthority = errors.New("no authority has this file")

// issuerKey returns the key of an authority, for loading.
func (in *Import) issuerKey(name string) (trust.Digest, error) {
	if a := in.authorityNamed(name); a != nil {
		return trust.SPKIOf(a.Cert), nil
	}
	return trust.Digest{}, errNoAuthority
}

// Authorities returns the authorities of --issuer, and those that were added.
func (in *Import) Authorities() []*Authority { return slices.Clone(in.authorities) }

// HasAuthorities reports whether --issuer names an authority, or the source has one.
func (in *Import) HasAuthorities() bool { return len(in.authorities) > 0 }

// Issuer returns the authority that must have issued the certificates of a line: the only one of
// --issuer and the source, or the one that issued a certificate that is at hand. leaf may be
// nil. If there is none, Issuer reports the line and returns false.
func (l *Line) Issuer(leaf *Certificate) (*Authority, bool) {
	a, why, hint := l.in.FindIssuer(leaf)
	if a == nil {
		l.Skip(why, hint)
	}
	return a, a != nil
}

// FindIssuer is Line.Issuer without a report: it returns nil, and why. An authority that only
// --certs has is never chosen: its owner could issue for every user.
func (in *Import) FindIssuer(leaf *Certificate) (a *Authority, why, hint string) {
	all := in.authorities
	if leaf != nil {
		for _, a := range all {
			if isIssuer(a.Cert, leaf.Cert) {
				return a, "", ""
			}
		}
	}
	switch {
	case len(all) == 1:
		return all[0], "", ""
	case len(all) == 0:
		return nil, "no issuer is known: without one, every trusted authority could issue a certificate for this user", "--issuer FILE with the certificate of the authority"
	case leaf != nil:
		return nil, fmt.Sprintf("%s was issued by none of the authorities", leaf.File), "--issuer FILE with the certificate of " + formatIssuer(leaf.Cert)
	}
	return nil, fmt.Sprintf("it is not known which of the %d authorities issued the certificate", len(all)), "--certs FOLDER with the certificate, or --issuer FILE with one authority"
}

// IssuedUnder reports whether one of the authorities issued a certificate at hand, directly or
// through other authorities at hand. Without any it is about those of --issuer and the source, and
// true if there are none.
func (in *Import) IssuedUnder(leaf *Certificate, by ...*Authority) bool {
	if len(by) > 0 {
		return in.isUnder(leaf, by)
	}
	if len(in.authorities) == 0 {
		return true
	}
	key := issuedKey{leaf, len(in.authorities)}
	out, known := in.issued[key]
	if !known {
		out = in.isUnder(leaf, in.authorities)
		in.issued[key] = out
	}
	return out
}

// issuedKey is a certificate and the number of authorities, which only grows.
type issuedKey struct {
	leaf        *Certificate
	authorities int
}

func (in *Import) isUnder(leaf *Certificate, by []*Authority) bool {
	between := append(slices.Clone(leaf.chain), in.Certificates.authorities...)
	c := leaf.Cert
	for range maxChain {
		for _, a := range by {
			if isIssuer(a.Cert, c) {
				return true
			}
		}
		i := slices.IndexFunc(between, func(parent *x509.Certificate) bool { return !parent.Equal(c) && isIssuer(parent, c) })
		if i < 0 {
			return false
		}
		c = between[i]
	}
	return false
}

// isIssuer reports whether an authority issued a certificate. The names come first: a signature costs
// a thousand times as much.
func isIssuer(authority, c *x509.Certificate) bool {
	return bytes.Equal(authority.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(authority) == nil
}

// maxChain bounds the certificates of a chain.
const maxChain = 8
