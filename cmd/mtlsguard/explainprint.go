package main

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/trust"
)

// verdict is the first line of an answer.
func (x *asked) verdict() string {
	o := &x.answer
	what := fmt.Sprintf("%s %s on port %s", escape.Printable(o.Method, 0), escape.Printable(o.Path, 0), o.Port)
	switch {
	case o.Allowed:
		return fmt.Sprintf("allowed: %s, as user %s", what, o.Identity.User)
	case o.Refused:
		return fmt.Sprintf("refused in the handshake, %s: %s", o.Reason, what)
	case o.Unread:
		return fmt.Sprintf("refused, %d before the guard: %s", o.Status, what)
	}
	who := ""
	if o.Identity != nil {
		who = ", as user " + o.Identity.User
	}
	return fmt.Sprintf("refused, %d %s: %s%s", o.Status, o.Reason, what, who)
}

// print is the answer for people. What decided comes first, what would change it last.
func (x *asked) print(a *app) {
	o := &x.answer
	a.printf("%s\n", x.verdict())
	if at, line := decided(o); at != "" {
		a.printf("by %s: %s\n", at, escape.Printable(line, 0))
	}
	if o.Detail != "" {
		a.printf("because %s\n", escape.Printable(o.Detail, 0))
	}
	a.printf("\nhandshake\n")
	a.table("  ", x.handshake())
	if o.Mapping != nil {
		a.printf("mapping\n")
		a.table("  ", mappingRows(o.Mapping))
	} else if o.Identity == nil && !o.Refused {
		a.printf("mapping\n  not asked\n")
	}
	if id := o.Identity; id != nil {
		a.printf("user\n  %s, by %s, in %s\n", id.User, via(id), strings.Join(id.Groups, ", "))
	}
	if o.Policy != nil {
		a.printf("policy\n")
		a.table("  ", policyRows(o.Policy))
	}
	if x.live != nil {
		verdict := "the same"
		switch {
		case !x.live.Same:
			verdict = "NOT the same"
		case !x.live.Sent:
			verdict = "the same, as far as the handshake goes: no request was sent"
		}
		a.printf("server %s\n  %s\n  %s\n", x.live.Addr, x.live.says(), verdict)
	}
	if hints := x.hints(); len(hints) > 0 {
		a.printf("\n")
		for _, h := range hints {
			h.print(a)
		}
	}
}

func via(id *identity.Identity) string {
	switch {
	case id.MappingID != "":
		return fmt.Sprintf("mapping %s (%s)", id.MappingID, id.Via)
	case id.Via == identity.ViaAnonymous:
		return "no certificate (strict: false)"
	}
	return "unmapped (" + string(id.Via) + ")"
}

func (x *asked) handshake() [][]string {
	o := &x.answer
	var rows [][]string
	if x.leaf == nil {
		rows = append(rows, []string{"presented", "no certificate"})
	} else {
		rows = append(rows, []string{"presented", subjectText(x.leaf)},
			[]string{"", "issued by " + issuerText(x.leaf)},
			[]string{"", "fingerprint " + trust.FingerprintOf(x.leaf).String()},
			[]string{"", instant(x.leaf.NotBefore) + " to " + instant(x.leaf.NotAfter)})
		if n := len(x.question.Certificates) - 1; n > 0 {
			rows = append(rows, []string{"", "with " + plural(n, "certificate more", "certificates more")})
		}
	}
	switch {
	case o.Refused:
		rows = append(rows, []string{"refused", string(o.Reason) + ": " + escape.Printable(o.Detail, 0)})
		if x.trust != nil {
			for _, c := range x.trust.Anchors() {
				rows = append(rows, []string{"anchor", escape.Printable(c.Subject.String(), 0)})
			}
		}
	case !o.Gateway.IsZero():
		rows = append(rows, []string{"gateway", "believed until " + instant(o.Gateway.Until())})
		if !o.Verified.IsZero() {
			rows = append(rows, []string{"stated", subjectText(o.Verified.Leaf()) + ", believed until " + instant(o.Verified.Until())})
		}
	case !o.Verified.IsZero():
		rows = append(rows, []string{"believed", "until " + instant(o.Verified.Until()) + ", by anchor " + escape.Printable(anchorOf(o.Verified).Subject.String(), 0)})
	case x.leaf != nil && !x.asks:
		rows = append(rows, []string{"not seen", "the port asks for no certificate"})
	}
	return rows
}

func mappingRows(steps []certmap.Step) [][]string {
	var rows [][]string
	differs := 0
	for _, s := range steps {
		switch s.Result {
		case certmap.Differs:
			differs++
			continue
		case certmap.Rest:
			rows = append(rows, []string{s.Why})
			continue
		}
		rows = append(rows, []string{string(s.Result), s.MappingID, stepPosition(s), s.Kind + " " + escape.Printable(s.Wanted, 0)})
		if s.Result != certmap.Matched {
			rows = append(rows, []string{"", "", "", "got " + escape.Printable(s.Got, 0)}, []string{"", "", "", escape.Printable(s.Why, 0)})
		}
	}
	if differs > 0 {
		rows = append(rows, []string{"differs", plural(differs, "mapping", "mappings")})
	}
	if len(rows) == 0 {
		rows = append(rows, []string{"there is no mapping"})
	}
	return rows
}

// mostRules is how many rules that do not match are shown: those that miss least.
const mostRules = 5

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
			continue
		}
		if shown++; shown > mostRules {
			left++
			continue
		}
		var misses []string
		for _, f := range l.Fields {
			if !f.Matches {
				misses = append(misses, fmt.Sprintf("%s: wants %s, got %s", f.Name, escape.Printable(f.Wants, 0), escape.Printable(f.Got, 0)))
			}
		}
		rows = append(rows, []string{"misses", l.Position.String(), escape.Printable(l.Text, 0)}, []string{"", "", strings.Join(misses, "; ")})
	}
	if left > 0 {
		rows = append(rows, []string{"misses", plural(left, "rule more", "rules more")})
	}
	if len(rows) == 0 {
		rows = append(rows, []string{"no rule is for this user or their groups"})
	}
	return rows
}

// anchorOf returns the trust anchor of the first verified chain.
func anchorOf(v trust.Verified) *x509.Certificate {
	chain := v.Chains()[0]
	return chain[len(chain)-1]
}
