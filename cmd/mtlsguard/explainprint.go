package main

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/trust"
)

// headline returns the first line of the output.
func (x *explainResult) headline() string {
	o := &x.explanation
	request := fmt.Sprintf("%s %s on port %s", escape.Printable(o.Method, 0), escape.Printable(o.Path, 0), o.Port)
	if o.Method == "" {
		request = "a connection to port " + o.Port // the line of a log is about a handshake
	}
	switch {
	case o.Allowed && x.log != nil && len(x.log.undecided) > 0:
		return fmt.Sprintf("allowed, if the certificate is still trusted and mapped: %s, as user %s", request, o.Identity.User)
	case o.Allowed:
		return fmt.Sprintf("allowed: %s, as user %s", request, o.Identity.User)
	case o.Refused:
		return fmt.Sprintf("refused in the handshake, %s: %s", o.Reason, request)
	case o.Unread:
		return fmt.Sprintf("refused, %d before the guard: %s", o.Status, request)
	}
	user := ""
	if o.Identity != nil {
		user = ", as user " + o.Identity.User
	}
	return fmt.Sprintf("refused, %d %s: %s%s", o.Status, o.Reason, request, user)
}

// print writes the explanation as text: the line that decided first, the hints last.
func (x *explainResult) print(a *app) {
	o := &x.explanation
	a.printf("%s\n", x.headline())
	if at, line := report.DecidingLine(o); at != "" {
		a.printf("by %s: %s\n", at, escape.Printable(line, 0))
	}
	if o.Detail != "" {
		a.printf("because %s\n", escape.Printable(o.Detail, 0))
	}
	a.printf("\n")
	if x.log != nil {
		x.printLine(a)
	}
	a.printf("handshake\n")
	if x.log != nil && x.leaf == nil {
		a.printTable("  ", x.lineRows())
	} else {
		a.printTable("  ", x.handshakeRows())
	}
	if o.Mapping != nil {
		a.printf("mapping\n")
		a.printTable("  ", mappingRows(o.Mapping))
	} else if o.Identity == nil && !o.Refused {
		a.printf("mapping\n  not reached\n")
	}
	if id := o.Identity; id != nil {
		a.printf("user\n  %s, by %s, in %s\n", id.User, describeVia(id), strings.Join(id.Groups, ", "))
	}
	if o.Policy != nil {
		a.printf("policy\n")
		a.printTable("  ", policyRows(o.Policy))
	}
	if o.Allowed && len(o.Quotas) > 0 {
		a.printf("quotas\n")
		for _, q := range o.Quotas {
			a.printf("  %s\n", q)
		}
	}
	if x.live != nil {
		comparison := "the same"
		switch {
		case !x.live.isCompared():
			comparison = "not compared: the server decided nothing"
		case !x.live.Same:
			comparison = "NOT the same"
		case !x.live.Sent:
			comparison = "the same in the handshake; no request was sent"
		}
		a.printf("server %s\n  %s\n  %s\n", x.live.Addr, x.live.describe(), comparison)
	}
	if hints := x.hints(); len(hints) > 0 {
		a.printf("\n")
		for _, h := range hints {
			h.print(a)
		}
	}
}

// describeVia returns how the user was identified.
func describeVia(id *identity.Identity) string {
	switch {
	case id.MappingID != "":
		return fmt.Sprintf("mapping %s (%s)", id.MappingID, id.Via)
	case id.Via == identity.ViaAnonymous:
		return "no certificate (strict: false)"
	}
	return "unmapped (" + string(id.Via) + ")"
}

// handshakeRows returns the certificates, and how they were verified.
func (x *explainResult) handshakeRows() [][]string {
	o := &x.explanation
	var rows [][]string
	if x.leaf == nil {
		rows = append(rows, []string{"presented", "no certificate"})
	} else {
		rows = append(rows, []string{"presented", formatSubject(x.leaf)},
			[]string{"", "issued by " + formatIssuer(x.leaf)},
			[]string{"", "fingerprint " + trust.FingerprintOf(x.leaf).String()},
			[]string{"", formatTime(x.leaf.NotBefore) + " to " + formatTime(x.leaf.NotAfter)})
		if n := len(x.request.Certificates) - 1; n > 0 {
			rows = append(rows, []string{"", "and " + plural(n, "more certificate", "more certificates")})
		}
	}
	switch {
	case o.Refused:
		rows = append(rows, []string{"refused", string(o.Reason) + ": " + escape.Printable(o.Detail, 0)})
		if x.verifier != nil {
			for _, c := range x.verifier.Anchors() {
				rows = append(rows, []string{"anchor", escape.Printable(c.Subject.String(), 0)})
			}
		}
	case !o.Gateway.IsZero():
		rows = append(rows, []string{"gateway", "verified until " + formatTime(o.Gateway.Until())})
		if !o.Verified.IsZero() {
			rows = append(rows, []string{"forwarded", formatSubject(o.Verified.Leaf()) + ", verified until " + formatTime(o.Verified.Until())})
		} else if len(x.forwarded) > 0 {
			leaf := x.forwarded[0]
			rows = append(rows, []string{"forwarded", formatSubject(leaf)}, []string{"", "issued by " + formatIssuer(leaf)}, []string{"", "fingerprint " + trust.FingerprintOf(leaf).String()})
			if report.Stage(o) == "certificate" {
				rows = append(rows, []string{"refused", string(o.Reason) + ": " + escape.Printable(o.Detail, 0)})
			}
		}
	case !o.Verified.IsZero():
		rows = append(rows, []string{"verified", "until " + formatTime(o.Verified.Until()) + ", by anchor " + escape.Printable(anchorOf(o.Verified).Subject.String(), 0)})
	case x.leaf != nil && !x.requestsCert:
		rows = append(rows, []string{"not sent", "the port does not request a certificate"})
	}
	return rows
}

// mappingRows returns the mappings that match or nearly match.
func mappingRows(steps []certmap.Step) [][]string {
	var rows [][]string
	differs := 0
	var obstacles []string // why no mapping of a kind can match
	for _, s := range steps {
		switch s.Result {
		case mapresult.Differs:
			differs++
			if text := s.Kind + ": " + s.Why; s.Why != "" && !slices.Contains(obstacles, text) {
				obstacles = append(obstacles, text)
			}
			continue
		case mapresult.Rest:
			rows = append(rows, []string{s.Why})
			continue
		}
		rows = append(rows, []string{s.Result, s.MappingID, stepPosition(s), s.Kind + " " + escape.Printable(s.Wanted, 0)})
		if s.Result != mapresult.Matches {
			rows = append(rows, []string{"", "", "", "got " + escape.Printable(s.Got, 0)}, []string{"", "", "", escape.Printable(s.Why, 0)})
		}
	}
	if differs > 0 {
		rows = append(rows, []string{"differs", plural(differs, "mapping", "mappings")})
	}
	for _, why := range obstacles {
		rows = append(rows, []string{"", escape.Printable(why, 0)})
	}
	if len(rows) == 0 {
		rows = append(rows, []string{"no mappings"})
	}
	return rows
}

// maxMissedRules bounds the rules shown that do not match. Those with the fewest
// differences come first.
const maxMissedRules = 5

// policyRows returns the rules that match, and the nearest ones that do not.
func policyRows(e *policy.Explanation) [][]string {
	var rows [][]string
	shown, left := 0, e.Omitted
	for _, l := range e.Lines {
		if l.Matches {
			why := string(l.Effect) + "s"
			if l.Effect == policy.Deny {
				why = "denies"
			}
			if len(l.Through) > 0 {
				why += ", by group " + strings.Join(l.Through, " in ")
			}
			rows = append(rows, []string{why, l.Position.String(), escape.Printable(l.Text, 0)})
			for _, f := range l.Fields {
				if f.Note != "" {
					rows = append(rows, []string{"", "", escape.Printable(f.Note, 0)})
				}
			}
			continue
		}
		if shown++; shown > maxMissedRules {
			left++
			continue
		}
		var misses []string
		for _, f := range l.Fields {
			if !f.Matches {
				misses = append(misses, fmt.Sprintf("%s: wants %s, got %s", f.Name, escape.Printable(f.Wants, 0), escape.Printable(f.Got, 0)))
			}
			if f.Note != "" {
				misses = append(misses, escape.Printable(f.Note, 0))
			}
		}
		rows = append(rows, []string{"misses", l.Position.String(), escape.Printable(l.Text, 0)}, []string{"", "", strings.Join(misses, "; ")})
	}
	if left > 0 {
		rows = append(rows, []string{"misses", plural(left, "more rule", "more rules")})
	}
	if len(rows) == 0 {
		rows = append(rows, []string{"no rule names this user or its groups"})
	}
	return rows
}

// anchorOf returns the trust anchor of the first verified chain.
func anchorOf(v trust.Verified) *x509.Certificate {
	chain := v.Chains()[0]
	return chain[len(chain)-1]
}
