package useredit

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Effect is the effect of a certificate under the current configuration.
type Effect struct {
	unknown  bool           // the certificate is not at hand
	Distrust string         // why no port trusts the certificate, or ""
	Matches  []certmap.Step // mappings that match on any port
}

// effectOf returns the effect of a certificate, leaf first. Without a configuration that
// loads, only the mappings are looked at, as if each issuer were the right one.
func (f *File) effectOf(ctx context.Context, chain []*x509.Certificate, now func() time.Time) (Effect, error) {
	var out Effect
	if f.Config != nil {
		if g, err := f.Config.Load(ctx, now); err == nil {
			return EffectIn(ctx, g, chain), nil
		}
	}
	table, err := f.Load(nil)
	if err != nil {
		return out, err
	}
	leaf := chain[0]
	v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{leaf}, Profile: trust.Compatible, Now: func() time.Time { return leaf.NotBefore }})
	if err != nil {
		return out, nil // no port can trust it
	}
	verified, err := v.Verify(ctx, chain[:1])
	if err != nil {
		return out, nil
	}
	out.add(table.Explain(verified, ""), mapresult.OtherPort, mapresult.OtherIssuer)
	return out, nil
}

// EffectIn returns the effect of a certificate in a loaded configuration.
func EffectIn(ctx context.Context, g *site.Generation, chain []*x509.Certificate) Effect {
	var out Effect
	trusted := false
	type distrust struct{ cause, ports, text string } // one for each cause
	var all []distrust
	for _, p := range g.AllPorts() {
		v := p.CallersTrust()
		if v == nil || !p.Authorizes() {
			continue
		}
		verified, err := v.Verify(ctx, chain)
		if err != nil {
			d := distrust{err.Error(), p.Config.Name, err.Error()}
			if r, ok := errors.AsType[*reason.Refusal](err); ok {
				d.cause, d.text = string(r.Reason), string(r.Reason)+", "+r.Detail
			}
			if at := slices.IndexFunc(all, func(known distrust) bool { return known.cause == d.cause }); at >= 0 {
				all[at].ports += ", " + d.ports // the text of the first port stands for all
			} else {
				all = append(all, d)
			}
			continue
		}
		trusted = true
		out.add(g.Table.Explain(verified, p.Config.Name))
	}
	switch {
	case trusted:
	case len(all) == 0:
		out.Distrust = "no port requests certificates"
	default:
		var texts []string
		for _, d := range all {
			texts = append(texts, "port "+d.ports+": "+d.text)
		}
		out.Distrust = strings.Join(texts, "; ")
	}
	return out
}

// add adds the mappings of an explanation that match, and those with one of the further
// results.
func (e *Effect) add(steps []certmap.Step, further ...string) {
	results := append([]string{mapresult.Matches, mapresult.Outranked, mapresult.Disabled, mapresult.OutOfTime}, further...)
	for _, s := range steps {
		if slices.Contains(results, s.Result) && !slices.ContainsFunc(e.Matches, func(t certmap.Step) bool { return t.MappingID == s.MappingID }) {
			e.Matches = append(e.Matches, s)
		}
	}
}

// warnings returns what an operator should know about a certificate that is mapped.
func (e *Effect) warnings() []string {
	if e.unknown {
		return []string{"the certificate is not at hand: whether a port trusts the certificate, and whether a disabled mapping matches it, is not checked"}
	}
	if e.Distrust == "" {
		return nil
	}
	return []string{"no port trusts this certificate: " + e.Distrust}
}

// checkAddition returns an error if the mapping that next adds is in the file already, or
// would let a certificate in that a disabled mapping refuses.
func (f *File) checkAddition(next Edit, before []certmap.Mapping, effect Effect) error {
	after, err := f.Mappings(next)
	if err != nil {
		return err
	}
	for _, added := range difference(before, after) {
		for _, m := range before {
			known := NewMapping(m)
			matches := slices.ContainsFunc(effect.Matches, func(s certmap.Step) bool { return s.MappingID == m.ID })
			switch {
			case m.Disabled && overlaps(known, added) && (matches || sameValue(known, added)):
				return &configerror.Error{
					File: m.File, Line: m.Line, What: fmt.Sprintf("mapping %s disables the certificate: another mapping would go around it", quoted(m.ID)),
					Hint: "nothing was written; to let the user back: " + f.Command("enable", "--id "+escape.Shell(m.ID)),
				}
			case CoversPorts(known, added) && m.User == added.User && sameValue(known, added) && (known.NotBefore+known.NotAfter == "" || known.NotBefore == added.NotBefore && known.NotAfter == added.NotAfter):
				return usageError(fmt.Sprintf("%s is already mapped at %s:%d, by the same %s", m.User, m.File, m.Line, known.Kind),
					"nothing was written; to see the mappings: "+f.Command("list", "--user "+escape.Shell(m.User)))
			}
		}
	}
	return nil
}

// quoted returns an id as text for a message.
func quoted(id string) string { return escape.Quote(id, escape.Short) }

// sameValue reports whether two mappings match the same certificates, ports and dates apart.
func sameValue(a, b Mapping) bool {
	if a.Kind != b.Kind || a.Issuer != b.Issuer {
		return false
	}
	switch a.Kind {
	case "dns":
		return strings.EqualFold(a.Value, b.Value)
	case "subject":
		x, err := dn.Parse(a.Value)
		y, err2 := dn.Parse(b.Value)
		return a.Value == b.Value || err == nil && err2 == nil && x.Key() == y.Key()
	}
	return a.Value == b.Value
}

// CoversPorts reports whether a mapping applies on every port of another.
func CoversPorts(a, b Mapping) bool {
	return len(a.Ports) == 0 || len(b.Ports) > 0 && !slices.ContainsFunc(b.Ports, func(p string) bool { return !slices.Contains(a.Ports, p) })
}

// overlaps reports whether two mappings apply on a common port.
func overlaps(a, b Mapping) bool {
	return len(a.Ports) == 0 || len(b.Ports) == 0 || slices.ContainsFunc(b.Ports, func(p string) bool { return slices.Contains(a.Ports, p) })
}

// stillMapped returns the mappings that are left for the users of removed ones.
func stillMapped(after []certmap.Mapping, removed []Mapping) []string {
	var out []string
	reported := map[string]bool{}
	for _, r := range removed {
		if reported[r.User] {
			continue
		}
		reported[r.User] = true
		for _, m := range after {
			switch {
			case m.Disabled:
			case m.User == r.User:
				out = append(out, fmt.Sprintf("%s is still mapped by %s at %s:%d", r.User, m.ID, m.File, m.Line))
			case m.User == username.Variable && r.User != username.Variable:
				out = append(out, fmt.Sprintf("certificates that the pattern %s at %s:%d matches can still be user %s", m.ID, m.File, m.Line, r.User))
			}
		}
	}
	return out
}
