package site

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// users checks the mappings.
func (x *linter) users() {
	for _, f := range x.g.Table.Lint(x.now, cmp.Or(x.o.Within, soon)) {
		x.report("users", configerror.Error{File: f.File, Line: f.Line}, f.What, f.Hint)
	}
	reported := map[string]bool{}
	authorities := x.authorities()
	for _, m := range x.g.Table.Mappings() {
		at := configerror.Error{File: m.File, Line: m.Line}
		if m.Disabled {
			continue
		}
		if m.User != username.Variable && !reported[m.User] && !x.hasGrant(m.User) {
			reported[m.User] = true
			x.report("users", at, fmt.Sprintf("no rule allows user %s anything", m.User), "p, user:"+m.User+", PORT, GET, /PATH, allow")
		}
		if len(m.Ports) > 0 && !slices.ContainsFunc(m.Ports, x.asks) {
			x.report("users", at, fmt.Sprintf("mapping %q is for ports that request no certificate", m.ID), "set client_cert: request or require on one of them")
		}
		if !m.Issuer.IsZero() && !x.leads(m.Issuer, authorities) {
			x.report("users", at, fmt.Sprintf("mapping %q never matches: no port trusts its issuer%s", m.ID, x.sameName(m.Issuer, authorities)), "add the issuer, or the CA above it, to anchors")
		}
		if domain := m.TrustDomain(); domain != "" && !x.hasTrustDomain(domain) {
			x.report("users", at, fmt.Sprintf("mapping %q never matches: no port has the trust domain %q", m.ID, domain), "add it to trust_domains of a port, with its bundle")
		}
		for _, c := range x.o.Certificates {
			if isFor(m, c) {
				x.ends("users", at, fmt.Sprintf("the certificate of mapping %q", m.ID), certificateSpan(c), "map the next certificate: mtlsguard users add --cert FILE --user "+m.User)
			}
		}
	}
}

// overridden reports mappings that let a certificate in although a disabled mapping, of a
// kind that comes later, matches it too. Only the certificates of the options are known.
func (x *linter) overridden() {
	disabled := map[string]bool{}
	for _, m := range x.g.Table.Mappings() {
		disabled[m.ID] = m.Disabled
	}
	reported := map[string]bool{}
	for _, c := range x.o.Certificates {
		for _, p := range x.g.AllPorts() {
			v := p.CallersTrust()
			if v == nil || !p.Authorizes() {
				continue
			}
			verified, err := v.Verify(x.ctx, []*x509.Certificate{c})
			if err != nil {
				continue
			}
			steps := x.g.Table.Explain(verified, p.Config.Name)
			at := slices.IndexFunc(steps, func(s certmap.Step) bool { return s.Result == mapresult.Matches })
			for _, s := range steps {
				if at < 0 || s.Result != mapresult.Outranked || !disabled[s.MappingID] || reported[steps[at].MappingID+" "+s.MappingID] {
					continue
				}
				by := steps[at]
				reported[by.MappingID+" "+s.MappingID] = true
				x.report("users", configerror.Error{File: by.File, Line: by.Line}, fmt.Sprintf("mapping %q overrides %q, which is disabled: certificate %s gets a user all the same", by.MappingID, s.MappingID, trust.FingerprintOf(c)),
					"disable it too: mtlsguard users disable --id "+by.MappingID)
			}
		}
	}
}

// isFor reports whether a mapping names one certificate, or one key, and it is this.
func isFor(m certmap.Mapping, c *x509.Certificate) bool {
	switch {
	case !m.Fingerprint.IsZero():
		return m.Fingerprint == trust.FingerprintOf(c)
	case !m.SPKI.IsZero():
		return m.SPKI == trust.SPKIOf(c)
	}
	return m.Serial != nil && c.SerialNumber != nil && (*big.Int).Cmp(m.Serial, c.SerialNumber) == 0
}

// asks reports whether a port requests certificates.
func (x *linter) asks(port string) bool {
	return slices.ContainsFunc(x.g.AllPorts(), func(p Port) bool {
		return p.Config.Name == port && p.Config.ClientAuth != ports.None
	})
}

// authorities are the certificates of all PEM files that were read.
func (x *linter) authorities() []*x509.Certificate {
	var out []*x509.Certificate
	for name, c := range x.files.Read {
		if c.Err == nil && fileset.IsPEM(c.Data) {
			certs, _ := trust.ReadCertificates(name, c.Data) // keys and lists are none
			out = append(out, certs...)
		}
	}
	return out
}

// sameName names an anchor that has the name of an issuer and another key.
func (x *linter) sameName(issuer trust.Digest, known []*x509.Certificate) string {
	at := slices.IndexFunc(known, func(c *x509.Certificate) bool { return trust.SPKIOf(c) == issuer })
	for _, p := range x.g.AllPorts() {
		for _, t := range p.Trusts() {
			for _, a := range t.Verifier.Anchors() {
				if at >= 0 && string(a.RawSubject) == string(known[at].RawSubject) {
					return fmt.Sprintf(" (the anchor in %s has its name, but another key)", t.names[string(a.Raw)])
				}
			}
		}
	}
	return ""
}

// leads reports whether any port can trust certificates of an issuer. An issuer
// that is known by its digest alone may.
func (x *linter) leads(issuer trust.Digest, known []*x509.Certificate) bool {
	at := slices.IndexFunc(known, func(c *x509.Certificate) bool { return trust.SPKIOf(c) == issuer })
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	for _, p := range x.g.AllPorts() {
		for _, t := range p.Trusts() {
			for _, a := range t.Verifier.Anchors() {
				if trust.SPKIOf(a) == issuer {
					return true
				}
				roots.AddCert(a)
			}
		}
	}
	if at < 0 {
		return true
	}
	for _, c := range known {
		others.AddCert(c)
	}
	_, err := known[at].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, CurrentTime: known[at].NotBefore.Add(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}

// hasTrustDomain reports whether a port verifies certificates of a trust domain.
func (x *linter) hasTrustDomain(domain string) bool {
	for _, p := range x.g.AllPorts() {
		for _, t := range p.Trusts() {
			if trustaccess.HasTrustDomain(t.Verifier, domain) {
				return true
			}
		}
	}
	return false
}
