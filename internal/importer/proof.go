package importer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/expectation"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// expectedText returns the table for policy test.
func expectedText(rows []Expectation) string {
	var b strings.Builder
	for _, r := range rows {
		want := "deny"
		if r.Allow {
			want = "allow"
		}
		path := r.Path
		if strings.ContainsAny(path, " \t\"") {
			path = strconv.Quote(path)
		}
		fmt.Fprintf(&b, "%s  %s  %s  %s  %s\n", r.User, r.Port, r.Method, path, want)
	}
	return b.String()
}

// checkPolicy loads policy.csv and compares its decisions with those of the source.
func (in *Import) checkPolicy() error {
	if len(in.rules) == 0 && len(in.expected) == 0 {
		return nil
	}
	engine, err := in.Policy()
	if err != nil || len(in.expected) == 0 {
		return err
	}
	rows, err := expectation.Parse("expected.txt", []byte(expectedText(in.expected)))
	if err != nil {
		return err
	}
	if err := expectation.Check("expected.txt", rows, expectation.Site{}); err != nil {
		return err
	}
	var errs errorlist.List
	for _, row := range rows {
		d, err := engine.Decide(context.Background(), policy.Request{User: row.User, Port: row.Port, Method: row.Method, Path: row.Path})
		if !row.Matches(d.Allowed && err == nil, string(d.Reason)) {
			errs.Add(configerror.Error{File: "expected.txt", Line: row.Line, What: fmt.Sprintf("%s %s %s on port %s: the source has %s, and the result does not", row.User, row.Method, row.Path, row.Port, row.Want), Hint: ErrDefect.Error()})
		}
	}
	return errs.Err()
}

// Proof is a certificate of --certs, and whom the source and the result take it for.
type Proof struct {
	File   string `json:"file"`
	User   string `json:"user,omitempty"`   // here; "": none
	Reason string `json:"reason,omitempty"` // why none
	Source string `json:"source,omitempty"` // the source's user; "": none, or not known
	Known  bool   `json:"source_known"`
	Port   string `json:"port,omitempty"` // "" if all ports are alike
}

// prove maps every certificate at hand. A certificate with a user in the result, and
// another or none in the source, is an error.
func (in *Import) prove(table *certmap.Table) ([]Proof, error) {
	if len(in.mappings) == 0 || len(in.Certificates.all) == 0 {
		return nil, nil
	}
	verifier, err := in.verifier()
	if verifier == nil || err != nil {
		return nil, err
	}
	ports := []string{""}
	for _, m := range in.mappings {
		for _, p := range m.Ports {
			if !slices.Contains(ports, p) {
				ports = append(ports, p)
			}
		}
	}
	var out []Proof
	var errs errorlist.List
	for _, c := range in.Certificates.all {
		var rows []Proof
		for _, port := range ports {
			p := Proof{File: c.File, Port: port}
			p.User, p.Reason = mapCertificate(verifier, table, c, port)
			users := in.sourceUsers(c, &p)
			if p.Known && p.User != "" && !slices.Contains(users, p.User) {
				errs.Add(configerror.Error{File: c.File, What: fmt.Sprintf("the result takes the certificate for user %s, and the source for %q", p.User, p.Source), Hint: ErrDefect.Error()})
			}
			rows = append(rows, p)
		}
		alike := !slices.ContainsFunc(rows, func(p Proof) bool { return p.User != rows[0].User || p.Reason != rows[0].Reason })
		if alike {
			rows = rows[:1]
		} else {
			rows = rows[1:] // the ports that mappings name; the first row is for all others
		}
		out = append(out, rows...)
	}
	return out, errs.Err()
}

// sourceUsers returns the users that the source takes a certificate for, and notes them.
func (in *Import) sourceUsers(c *Certificate, p *Proof) (users []string) {
	switch {
	case in.SourceUsers != nil:
		users, p.Known = in.SourceUsers(c)
		p.Source = strings.Join(users, " or ")
	case in.SourceUser != nil:
		p.Source, p.Known = in.SourceUser(c)
		p.Source, _ = in.Rename(p.Source)
		users = []string{p.Source}
	}
	return users
}

// verifier returns a verifier with every authority at hand: it only shows which mapping matches.
// It is nil without a usable authority.
func (in *Import) verifier() (*trust.Verifier, error) {
	var anchors []*x509.Certificate
	add := func(c *x509.Certificate) {
		if trustaccess.CheckAnchor(c, trust.Strict) == nil && !slices.ContainsFunc(anchors, c.Equal) {
			anchors = append(anchors, c)
		}
	}
	for _, a := range in.authorities {
		add(a.Cert)
	}
	for _, c := range in.Certificates.authorities {
		add(c)
	}
	if len(anchors) == 0 {
		return nil, nil
	}
	return trust.New(trust.Config{Anchors: anchors})
}

// mapCertificate returns the user of a certificate on a port, or why there is none.
func mapCertificate(v *trust.Verifier, table *certmap.Table, c *Certificate, port string) (user, why string) {
	verified, err := trustaccess.VerifyLocal(v, c.chain)
	var match certmap.Match
	if err == nil {
		match, err = table.Map(context.Background(), verified, port)
	}
	if refusal, ok := errors.AsType[*reason.Refusal](err); ok {
		return "", string(refusal.Reason)
	}
	if err != nil {
		return "", err.Error()
	}
	return match.User, ""
}
