package nginxconf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/regex"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// carryPatterns carries the patterns in their order. One that is not carried limits those after
// it: there the first that matches decides.
func (t *translation) carryPatterns(r *role) {
	var before []*entry  // not carried, or without a user
	var carried []*entry // narrower than there: what they do not match here, a later one must not
	for _, e := range r.block.patterns {
		l := t.in.Line(e.place, e.text())
		user := t.userOf(r, e.value)
		if user == "" {
			l.Carry("no user, unless a later line is carried")
			before = append(before, e)
			continue
		}
		subject, captured, why := t.patternSubject(r, e, user)
		if why != "" {
			t.reportLoose(l, r, e, why)
			before = append(before, e)
			continue
		}
		blocked := len(r.block.missing) > 0 || r.block.hostnames
		for _, b := range before {
			if disjoint(t.pattern(b), t.pattern(e)) {
				continue
			}
			blocked = true
			t.in.Line(b.place, b.text()).Limit(fmt.Sprintf("this pattern decides there before line %d, which could be carried", e.place.Line), "put the line behind the others, or make it exact")
		}
		if blocked {
			l.Skip("an earlier line that is not carried may decide for the same certificates", "")
			before = append(before, e)
			continue
		}
		if i := slices.IndexFunc(carried, func(c *entry) bool { return !disjoint(t.pattern(c), t.pattern(e)) }); i >= 0 {
			l.Skip(fmt.Sprintf("line %d may match the same certificates and decides there; here it matches fewer", carried[i].place.Line), "make the two patterns end differently, or write exact keys")
			before = append(before, e)
			continue
		}
		name, ok := username.Variable, true
		if !captured {
			name, ok = l.User(user)
		}
		m := importer.Mapping{User: name, Kind: "subject", Value: subject, Pattern: true}
		if ok {
			m.Issuer, ok = l.Issuer(nil)
		}
		if ok && !t.guard(l, m) {
			l.Skip("a name that differs in case alone has no user there", "")
			ok = false
		}
		if !ok || !l.Map(m) {
			before = append(before, e)
			continue
		}
		if captured {
			t.renameCaptured(l, r, e, m)
		}
		carried = append(carried, e)
		if e.fold {
			l.Change("upper and lower case count here")
		}
		l.Change("it names only users whose name has no other characters than A-Z a-z 0-9 . _ @ - and is not reserved")
	}
}

// patternSubject returns the subject of a mapping that is a pattern, whether the captured text is
// the user, and why there is none.
func (t *translation) patternSubject(r *role, e *entry, user string) (subject string, captured bool, why string) {
	p := t.pattern(e)
	switch {
	case p == nil:
		return "", false, "the regular expression is not understood"
	case r.source.Kind != "subject":
		return "", false, "a part of a " + r.source.Kind + " names no certificate"
	}
	subject, number, why := p.Subject(r.source.Parse)
	if captured = !isLiteral(user); captured && why == "" {
		if got, ok := isCapture(p, user); !ok || got != number || number == 0 {
			return "", false, "its value is not the captured text alone"
		}
	}
	return subject, captured, why
}

// disjoint reports whether no text matches both patterns, by what they begin and end with.
func disjoint(a, b *regex.Pattern) bool {
	if a == nil || b == nil || len(a.Pieces) == 0 || len(b.Pieces) == 0 || a.Fold || b.Fold {
		return false
	}
	first, second := a.Pieces[0].Literal, b.Pieces[0].Literal
	if a.AtStart && b.AtStart && !strings.HasPrefix(first, second) && !strings.HasPrefix(second, first) {
		return true
	}
	first, second = a.Pieces[len(a.Pieces)-1].Literal, b.Pieces[len(b.Pieces)-1].Literal
	return a.AtEnd && b.AtEnd && !strings.HasSuffix(first, second) && !strings.HasSuffix(second, first)
}

// guard refuses the names of a pattern that have no user in nginx. It returns false if the pattern
// must be left out: an exact key of nginx refuses a name in upper and lower case alike.
func (t *translation) guard(l *importer.Line, m importer.Mapping) bool {
	open, err := dn.Parse(m.Value)
	if err != nil {
		return true // Map reports it
	}
	carried := true
	for _, n := range t.noUser {
		captured, ok := captureFold(open, n.name)
		if !ok {
			continue
		}
		same := m
		same.Pattern, same.User, same.Disabled = false, importer.NoUser, true
		same.Value = withCaptured(m.Value, captured)
		if name, err := dn.Parse(same.Value); err == nil && name != n.name {
			n.line.Map(same)
		}
		if !t.options.SameCase && strings.ContainsAny(captured, letters) {
			n.line.Limit(fmt.Sprintf("a name that differs from this key in case alone has no user there, and a user by line %d here", l.Place.Line), "--same-case, if the authority issues no two such names")
			carried = false
		}
	}
	return carried
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// commonName is the OID of the common name in DER.
const commonName = "\x55\x04\x03"

// captureFold returns what a pattern would capture of a name if case did not count.
func captureFold(open, name dn.Name) (captured string, ok bool) {
	a, b := open.RDNs(), name.RDNs()
	if len(a) != len(b) {
		return "", false
	}
	for i := range a {
		switch {
		case len(a[i]) != 1 || len(b[i]) != 1 || a[i][0].OID != b[i][0].OID:
			return "", false
		case a[i][0].Value == username.Variable:
			captured = b[i][0].Value
		case importer.FoldASCII(a[i][0].Value) != importer.FoldASCII(b[i][0].Value):
			return "", false
		}
	}
	return captured, true
}
