package certmap

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// maxNearest is how many mappings Nearest compares. A refused client causes this work for
// each line of the log, so it must not grow with the table.
const maxNearest = 100

// Nearest returns the mapping that comes nearest to a certificate that Map refuses, with the
// difference in Why: one that is disabled or outside its dates, one for another port or
// issuer, a near miss, or one of which a part differs. It returns false where no mapping is
// like the certificate.
//
// Its work is bounded: it looks up the certificate's values, and compares the first 100
// mappings of the table. Explain compares more.
func (t *Table) Nearest(v trust.Verified, port string) (Step, bool) {
	if t == nil || v.IsZero() {
		return Step{}, false
	}
	x := explainer{t: t, v: v, port: port, now: t.now(), cert: newCertificate(v)}
	x.findMatches()
	if r := x.nearestMatch(); r != 0 {
		e := t.at(r)
		s := x.step(&e)
		s.User = x.users[r]
		s.Result, s.Why = x.resultOf(&e)
		return s, true
	}
	if s, ok := x.otherDigest(); ok {
		return s, true
	}
	var nearest Step
	best, compared := 0, 0
	for _, e := range t.all() {
		if compared++; compared > maxNearest {
			break
		}
		if why := x.cert.nearMiss(e); why != "" {
			s := x.step(e)
			s.Result, s.Why = mapresult.NearMiss, why
			return s, true
		}
		if equal, why := x.cert.difference(e); equal > best {
			best, nearest = equal, x.step(e)
			nearest.Result, nearest.Why = mapresult.Differs, why
		}
	}
	return nearest, best > 0
}

// step returns the step of a mapping, without its result.
func (x *explainer) step(e *entry) Step {
	return Step{
		MappingID: e.id(), User: e.user(), Kind: e.kind.String(), File: e.terms.file, Line: int(e.line),
		Wanted: e.written(), Got: x.cert.value(e.kind),
	}
}

// nearestMatch returns the first mapping with a value of the certificate: of those that decide,
// else of all. It returns 0 where there is none.
func (x *explainer) nearestMatch() (first ref) {
	decides := false
	for r := range x.users {
		e := x.t.at(r)
		d := x.decides != noKind && e.kind.level() == x.decides && e.terms.includePort(x.port) && e.isIssuedUnder(x.v)
		if first == 0 || d && !decides || d == decides && x.t.compareRefs(r, first) < 0 {
			first, decides = r, d
		}
	}
	return first
}

// otherDigest looks up the digests that users confuse with one another.
func (x *explainer) otherDigest() (found Step, ok bool) {
	s := search{table: x.t, v: x.v, visit: func(r ref, _ string) {
		if e := x.t.at(r); !ok {
			found, ok = x.step(&e), true
			found.Result, found.Why = mapresult.NearMiss, x.cert.nearMiss(&e)
		}
	}}
	s.lookUpKey(byFingerprint, x.cert.spki[:], nil)
	s.lookUpKey(bySPKI, x.cert.fingerprint[:], nil)
	for _, d := range trustaccess.IssuerKeys(x.v) {
		s.lookUpKey(byFingerprint, d[:], nil)
		s.lookUpKey(bySPKI, d[:], nil)
	}
	return found, ok
}

// difference returns how many parts of a mapping's value the certificate has, and the parts
// that differ. It returns 0 where less than half of them are equal.
func (c *certificate) difference(e *entry) (equal int, why string) {
	switch e.kind {
	case byURI, byURIPattern:
		return differentPart(e.key(), "/", "segment", c.uris)
	case byDNS:
		return differentPart(e.key(), ".", "label", c.dns)
	case byEmail:
		return differentPart(e.key(), "@", "part", c.emails)
	case bySubject, bySubjectPattern:
		if c.subjectErr == nil {
			return differentAttributes(e, c.subject.RDNs())
		}
	}
	return 0, ""
}

// differentPart compares a value part by part with those of the certificate that have as many
// parts, and all but one of them in common.
func differentPart(wanted, separator, name string, got []string) (equal int, why string) {
	w := strings.Split(wanted, separator)
	for _, value := range got {
		g := strings.Split(value, separator)
		if len(g) != len(w) || len(w) < 2 {
			continue
		}
		different, at := 0, 0
		for i := range w {
			if w[i] != g[i] && w[i] != dn.Placeholder {
				different++
				at = i
			}
		}
		if different == 1 && w[at] != "" && g[at] != "" && len(w)-1 > equal {
			equal, why = len(w)-1, fmt.Sprintf("%s %d: wanted %s, got %s", name, at+1, escape.Quote(w[at], escape.Short), escape.Quote(g[at], escape.Short))
		}
	}
	return equal, why
}

// differentAttributes compares a mapping's subject with the certificate's, one type of
// attribute at a time.
func differentAttributes(e *entry, got [][]dn.Attribute) (equal int, why string) {
	wanted, rest := slices.Concat(dn.FromKey(e.key()).RDNs()...), slices.Concat(got...)
	n := max(len(wanted), len(rest))
	var missing []dn.Attribute
	for _, w := range wanted {
		i := slices.Index(rest, w)
		if i < 0 && w.Value == dn.Placeholder {
			i = slices.IndexFunc(rest, func(g dn.Attribute) bool { return g.OID == w.OID })
			n-- // a captured part shows no difference
		} else if i >= 0 {
			equal++
		}
		if i < 0 {
			missing = append(missing, w)
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
	var all []string
	for _, w := range missing {
		i := slices.IndexFunc(rest, func(g dn.Attribute) bool { return g.OID == w.OID })
		if i < 0 {
			all = append(all, "the certificate lacks "+quoteAttribute(w))
			continue
		}
		all = append(all, "wanted "+quoteAttribute(w)+", got "+quoteAttribute(rest[i]))
		rest = slices.Delete(rest, i, i+1)
	}
	for _, g := range rest {
		all = append(all, "the mapping lacks "+quoteAttribute(g))
	}
	if equal == 0 || 2*equal < n || len(all) == 0 {
		return 0, ""
	}
	const most = 3
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("%d more differences", len(all)-most))
	}
	return equal, strings.Join(all, "; ")
}

func quoteAttribute(a dn.Attribute) string { return escape.Quote(a.String(), escape.Short) }
