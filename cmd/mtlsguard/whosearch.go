package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// callerSearch finds the users who may make a request on one port.
type callerSearch struct {
	g            *site.Generation
	p            *site.Port
	method, path string
	seen         map[string]sighting
	now          time.Time

	mappings map[string][]callerMapping // in effect on the port, by user; {user} has the patterns
	obstacle map[string]string          // why a mapping of the user is not in effect
	out      portCallers
}

func (w *callerSearch) find() portCallers {
	p := w.p
	w.out = portCallers{Port: p.Config.Name, Users: []caller{}}
	if !p.Authorizes() {
		w.out.Inner = true
		return w.out
	}
	w.findMappings()
	named := w.namedUsers()
	for _, user := range named {
		mappings := slices.Concat(w.mappings[user], w.mappings[username.Variable]) // a pattern can give a user with mappings too
		w.add(caller{User: user, Kind: callerNamed, Mappings: mappings}, w.obstacle[user])
	}
	if patterns := w.mappings[username.Variable]; len(patterns) > 0 {
		w.add(caller{User: w.freshUser(named), Kind: callerOther, Mappings: patterns}, "")
	}
	if user := p.Guard.Unmapped; user != "" && w.hasCertificates() {
		w.add(caller{User: user, Kind: callerUnmapped}, "")
	}
	w.out.Anonymous = w.isOpen()
	if w.out.Anonymous {
		w.add(caller{User: identity.Default, Kind: callerAnonymous}, "")
	}
	return w.out
}

// hasCertificates reports whether callers of the port have certificates.
func (w *callerSearch) hasCertificates() bool {
	return w.p.CallersTrust() != nil && (w.p.Config.ClientAuth != ports.None || w.p.Guard.Forwarded != nil)
}

// isOpen reports whether a caller without a certificate is the user Default.
func (w *callerSearch) isOpen() bool {
	return w.p.Guard.Fallback == middleware.ToDefault && (w.p.Config.ClientAuth != ports.Require || w.p.Guard.Forwarded != nil)
}

// add asks the policy about one user, and adds the answer.
func (w *callerSearch) add(c caller, obstacle string) {
	request := policy.Request{User: c.User, Port: w.p.Config.Name, Method: w.method, Path: w.path}
	d, err := w.g.Engine.Decide(context.Background(), request)
	if err != nil || !d.Allowed && d.Reason != reason.Denied {
		return
	}
	explained := w.g.Engine.Explain(request) // costs far more than the decision
	c.Rule = d.Rule.String()
	for _, l := range explained.Lines {
		if l.Position == d.Rule {
			c.Text, c.Through = l.Text, l.Through
		}
	}
	if s, ok := w.seen[c.User]; ok && c.Kind != callerOther {
		c.LastSeen = formatTime(s.at)
	}
	if c.Kind == callerOther {
		c.User = ""
	}
	switch {
	case !d.Allowed:
		if slices.ContainsFunc(explained.Lines, func(l policy.Line) bool { return l.Matches && l.Effect == policy.Allow }) {
			w.out.Denied = append(w.out.Denied, c)
		}
	case c.Kind == callerNamed && len(c.Mappings) == 0:
		c.Why = cmp.Or(obstacle, "no mapping")
		w.out.NotMapped = append(w.out.NotMapped, c)
	default:
		if len(w.mappings[c.User]) == 0 {
			c.Why = obstacle
		}
		w.out.Users = append(w.out.Users, c)
	}
}

// findMappings finds the mappings that are in effect on the port.
func (w *callerSearch) findMappings() {
	w.mappings, w.obstacle = map[string][]callerMapping{}, map[string]string{}
	if !w.hasCertificates() {
		return
	}
	known := anchorsOf(w.g)
	for _, m := range w.g.Table.Mappings() {
		at := fmt.Sprintf("mapping %s at %s:%d ", m.ID, m.File, m.Line)
		why := ""
		switch {
		case len(m.Ports) > 0 && !slices.Contains(m.Ports, w.p.Config.Name):
			why = "is for " + strings.Join(m.Ports, ", ") + " only"
		case m.Disabled:
			why = "is disabled"
		case !m.NotBefore.IsZero() && w.now.Before(m.NotBefore):
			why = "begins at " + formatTime(m.NotBefore)
		case !m.NotAfter.IsZero() && w.now.After(m.NotAfter):
			why = "ended at " + formatTime(m.NotAfter)
		case !mayIssue(w.p.CallersTrust(), &m, known):
			why = "has an issuer that the port does not trust"
		}
		if why != "" {
			w.obstacle[m.User] = at + why
			continue
		}
		d := useredit.NewMapping(m)
		w.mappings[m.User] = append(w.mappings[m.User], callerMapping{ID: m.ID, Kind: d.Kind, Value: d.Value, At: fmt.Sprintf("%s:%d", m.File, m.Line), Issuer: issuerName(&m, known), NotAfter: d.NotAfter})
	}
}

// namedUsers returns the users that mappings, the policy, the path and the log name, sorted.
func (w *callerSearch) namedUsers() []string {
	users := map[string]bool{}
	add := func(user string) {
		if username.IsUser(user) {
			users[user] = true
		}
	}
	for user := range w.mappings {
		add(user)
	}
	rules, members := w.g.Engine.Rules()
	segments := strings.Split(w.path, "/")
	for _, r := range rules {
		if user, ok := strings.CutPrefix(r.Subject, "user:"); ok {
			add(user)
		}
	}
	for _, m := range members {
		if user, ok := strings.CutPrefix(m.Subject, "user:"); ok {
			add(user)
		}
	}
	if len(w.mappings[username.Variable]) > 0 {
		for _, r := range rules {
			if at := slices.Index(strings.Split(r.Path, "/"), username.Variable); at >= 0 && len(segments) > at {
				add(segments[at]) // the rule is for the user in the path
			}
		}
		for user, s := range w.seen {
			if slices.ContainsFunc(w.mappings[username.Variable], func(m callerMapping) bool { return m.ID == s.mapping }) {
				add(user)
			}
		}
	} else { // where there is a pattern, they are as any other user
		for user := range w.obstacle {
			add(user)
		}
	}
	var out []string
	for user := range users {
		if user != w.p.Guard.Unmapped || len(w.mappings[user]) > 0 {
			out = append(out, user)
		}
	}
	slices.Sort(out)
	return out
}

// freshUser returns a user that nothing names: any other user of a pattern is allowed what
// this one is.
func (w *callerSearch) freshUser(named []string) string {
	user := "somebody"
	for slices.Contains(named, user) || strings.Contains(w.path, user) {
		user += "-else"
	}
	return user
}

// anchorsOf returns the anchors of all ports.
func anchorsOf(g *site.Generation) []*x509.Certificate {
	var out []*x509.Certificate
	for _, p := range g.AllPorts() {
		for _, t := range p.Trusts() {
			out = append(out, t.Verifier.Anchors()...)
		}
	}
	return out
}

// mayIssue reports whether a port may trust certificates of the issuer of a mapping. An authority that is
// not known, or that is issued by another, may be an intermediate.
func mayIssue(v *trust.Verifier, m *certmap.Mapping, known []*x509.Certificate) bool {
	if domain := m.TrustDomain(); domain != "" {
		return trustaccess.HasTrustDomain(v, domain)
	}
	issuer := m.Issuer
	is := func(c *x509.Certificate) bool { return trust.SPKIOf(c) == issuer }
	at := slices.IndexFunc(known, is)
	return issuer.IsZero() || at < 0 || slices.ContainsFunc(v.Anchors(), is) || string(known[at].RawSubject) != string(known[at].RawIssuer)
}

// issuerName returns the name of the issuer of a mapping, or the digest of its key if no anchor has it.
func issuerName(m *certmap.Mapping, known []*x509.Certificate) string {
	if domain := m.TrustDomain(); domain != "" {
		return san.SPIFFE + domain
	}
	issuer := m.Issuer
	if issuer.IsZero() {
		return ""
	}
	for _, c := range known {
		if trust.SPKIOf(c) == issuer {
			return printable(c.Subject.String())
		}
	}
	return "sha256:" + issuer.String()
}
