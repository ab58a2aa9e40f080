package site

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// LintOptions are the parameters of Lint.
type LintOptions struct {
	Within       time.Duration // 0 is 30 days, and less for what lives shortly
	Now          func() time.Time
	Certificates []*x509.Certificate
}

const soon = 30 * 24 * time.Hour

// Lint loads a configuration, and returns what loads and is probably wrong, ordered by file
// and line. Configuration errors are the error.
func Lint(path string, o LintOptions) ([]configerror.Finding, error) {
	l := &loader{ctx: context.Background(), path: path, files: fileset.New(nil), clock: o.Now}
	g, err := l.load()
	if err != nil {
		return nil, err
	}
	data, err := l.files.Get(path)
	if err != nil {
		return nil, err
	}
	var wrong errorlist.List
	x := &linter{loader: l, g: g, file: config.Parse(path, data, &wrong), o: o, now: l.now()}
	x.addPolicy()
	x.warnings()
	x.users()
	x.overridden()
	x.policy()
	for i, p := range x.file.AllPorts() {
		x.port(p, i)
	}
	x.gateways()
	slices.SortStableFunc(x.found, func(a, b configerror.Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return x.found, nil
}

type linter struct {
	*loader
	g     *Generation
	file  *config.File
	o     LintOptions
	now   time.Time
	found []configerror.Finding

	rules   []policy.Rule // of policy.csv
	members []policy.Member
	granted map[string]bool // subjects that some rule allows something
}

// addPolicy takes the lines of the policy.
func (x *linter) addPolicy() {
	x.rules, x.members = x.g.Engine.Rules()
	x.granted = map[string]bool{}
	for _, r := range x.rules {
		x.granted[r.Subject] = x.granted[r.Subject] || r.Effect == policy.Allow
	}
}

// hasGrant reports whether some rule allows a user anything, directly or through a group.
// Deny rules do not count against it.
func (x *linter) hasGrant(user string) bool {
	if user == identity.Default {
		return slices.ContainsFunc(x.rules, x.isOpen)
	}
	return x.granted["user:"+user] || slices.ContainsFunc(x.g.Engine.Groups(user), func(group string) bool { return x.granted["group:"+group] })
}

// report adds a finding.
func (x *linter) report(about string, at configerror.Error, what, hint string) {
	x.found = append(x.found, configerror.Finding{About: about, File: at.File, Line: at.Line, What: what, Hint: hint})
}

func (x *linter) atPort(p config.Port) configerror.Error {
	return configerror.Error{File: x.path, Line: p.Line()}
}

// warnings reports what the server logs when it starts.
func (x *linter) warnings() {
	for _, w := range x.g.Warnings {
		if w.Hint == "" {
			w.Hint = "the server logs this when it starts"
		}
		x.found = append(x.found, w)
	}
}

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
			x.report("users", at, fmt.Sprintf("mapping %q is for ports that ask for no certificate", m.ID), "set client_cert: request or require on one of them")
		}
		if !m.Issuer.IsZero() && !x.leads(m.Issuer, authorities) {
			x.report("users", at, fmt.Sprintf("mapping %q never matches: no port trusts its issuer%s", m.ID, x.sameName(m.Issuer, authorities)), "add the issuer, or the CA above it, to anchors")
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

// span is the lifetime of something that has to be replaced in time.
type span struct {
	end  time.Time
	soon time.Duration // how early the end is reported, at most
}

// certificateSpan returns the lifetime of a certificate. The last fifth counts as soon:
// renewal usually begins with a third left, so that nothing is reported if it works.
func certificateSpan(c *x509.Certificate) span {
	return span{c.NotAfter, c.NotAfter.Sub(c.NotBefore) / 5}
}

// crlSpan returns the lifetime of a CRL. The last tenth counts as soon: many authorities
// issue the next list shortly before the next update.
func crlSpan(issued, until time.Time) span { return span{until, until.Sub(issued) / 10} }

// ends reports an end that has come or comes soon: within the time of the options, or
// without one within 30 days, and less for what lives shortly.
func (x *linter) ends(about string, at configerror.Error, what string, s span, hint string) {
	within := x.o.Within
	if within == 0 {
		within = min(soon, s.soon)
	}
	end := s.end
	switch text := end.UTC().Format(time.RFC3339); {
	case x.now.After(end):
		x.report(about, at, what+" expired at "+text, hint)
	case x.now.Add(within).After(end):
		x.report(about, at, what+" expires at "+text, hint)
	}
}

// asks reports whether a port asks for certificates.
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

// policy checks the rules.
func (x *linter) policy() {
	x.found = append(x.found, x.g.Engine.Lint()...)
	named := map[string]bool{}
	captures := false // a pattern may make anybody of a certificate
	for _, m := range x.g.Table.Mappings() {
		named[m.User] = true
		captures = captures || m.User == username.Variable
	}
	for _, p := range x.file.AllPorts() {
		named[p.Unmapped] = true
	}
	open := slices.ContainsFunc(x.file.AllPorts(), func(p config.Port) bool { return !p.Strict })
	reported := map[string]bool{}
	unused := func(subject, file string, line int) {
		user, ok := strings.CutPrefix(subject, "user:")
		at := configerror.Error{File: file, Line: line}
		switch {
		case reported[subject]:
			return
		case ok && user == identity.Default, subject == "group:"+identity.Anonymous:
			if open {
				return
			}
			x.report("policy", at, subject+" is never used: every port is strict", "set strict: false on a port, or remove the line")
		case ok && !named[user] && !captures:
			x.report("policy", at, "no mapping leads to "+subject, "mtlsguard users add --cert FILE --user "+user+", or remove the line")
		default:
			return
		}
		reported[subject] = true
	}
	for _, r := range x.rules {
		unused(r.Subject, r.File, r.Line)
	}
	for _, m := range x.members {
		unused(m.Subject, m.File, m.Line)
	}
}
