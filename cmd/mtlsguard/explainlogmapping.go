package main

import (
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/reason"
)

// mapLine returns the user that the current mappings give to the certificate of the line,
// as far as the line shows it, or "" for a refusal.
func (x *explainResult) mapLine(g *site.Generation, now time.Time) (user, mapping string) {
	l, o := x.log, &x.explanation
	x.addMappingSteps(g, l, now)
	var users []string
	for _, s := range o.Mapping {
		if s.Result == mapresult.Matches && !slices.Contains(users, s.User) {
			users = append(users, s.User)
		}
	}
	if len(users) > 1 {
		return "", "" // still ambiguous
	}
	for _, s := range o.Mapping { // a mapping by fingerprint comes first and decides
		switch s.Result {
		case mapresult.Matches:
			if s.User == "" {
				l.undecided = append(l.undecided, "which user the pattern "+s.MappingID+" gives to the certificate")
				return "", ""
			}
			if s.Kind != "fingerprint" && (s.Kind != "spki" || s.Wanted != l.SPKI) && l.Fingerprint != "" {
				l.undecided = append(l.undecided, "whether mapping "+s.MappingID+" still matches the certificate, and no other mapping comes before it")
			}
			return s.User, s.MappingID
		case mapresult.Disabled, mapresult.OutOfTime:
			o.Allowed, o.Reason, o.Detail = false, reason.Unmapped, s.Why
			if s.Result == mapresult.OutOfTime {
				o.Reason = reason.MappingExpired
			}
			o.Status = o.Reason.Status()
			return "", ""
		}
	}
	switch {
	case l.Mapping != "":
		l.undecided = append(l.undecided, "which mapping matches the certificate: the line's mapping "+l.Mapping+" no longer applies on port "+l.Port)
		o.Allowed, o.Reason, o.Detail = false, reason.Unmapped, "mapping "+l.Mapping+" of the line no longer applies"
		o.Status = o.Reason.Status()
		return "", ""
	case l.Fingerprint != "":
		l.undecided = append(l.undecided, "whether a mapping of another kind than fingerprint and key matches the certificate now")
	}
	if l.Reason == string(reason.Unmapped) || l.Reason == string(reason.Ambiguous) || l.Reason == string(reason.MappingExpired) {
		return "", ""
	}
	return l.User, "" // unmapped: USER, an authenticator, or Default
}

// names reports whether the line names a mapping: as the one that gave the user, or in the
// text of a refusal by the mappings.
func (l *loggedRequest) names(id string) bool {
	switch reason.Reason(l.Reason) {
	case reason.Unmapped, reason.Ambiguous, reason.MappingExpired:
		return strings.Contains(l.Error, quoted(id))
	}
	return l.Mapping != "" && l.Mapping == id
}

// addMappingSteps adds the mappings that the line shows to match: by fingerprint, and the
// one that it names.
func (x *explainResult) addMappingSteps(g *site.Generation, l *loggedRequest, now time.Time) {
	steps := []certmap.Step{}
	for _, m := range g.Table.Mappings() {
		d := useredit.NewMapping(m)
		byPrint := d.Kind == "fingerprint" && d.Value == l.Fingerprint
		byKey := d.Kind == "spki" && d.Value == l.SPKI && d.Issuer == ""
		if !byPrint && !byKey && !l.names(m.ID) {
			continue
		}
		s := certmap.Step{MappingID: m.ID, User: m.User, Kind: d.Kind, File: m.File, Line: m.Line, Wanted: d.Value, Got: "the certificate that the line names", Result: mapresult.Matches}
		if m.User == username.Variable {
			s.User = l.User // empty if the line has none
		}
		switch {
		case len(m.Ports) > 0 && !slices.Contains(m.Ports, l.Port):
			s.Result, s.Why = mapresult.OtherPort, "the mapping is for "+strings.Join(m.Ports, ", ")+" only, and this is "+l.Port
		case m.Disabled:
			s.Result, s.Why = mapresult.Disabled, "the certificate is refused: a disabled mapping still matches"
		case !m.NotBefore.IsZero() && now.Before(m.NotBefore):
			s.Result, s.Why = mapresult.OutOfTime, "valid from "+formatTime(m.NotBefore)
		case !m.NotAfter.IsZero() && now.After(m.NotAfter):
			s.Result, s.Why = mapresult.OutOfTime, "was valid until "+formatTime(m.NotAfter)
		}
		steps = append(steps, s)
	}
	outrank(steps)
	if len(steps) == 0 && l.Fingerprint != "" {
		steps = append(steps, certmap.Step{Result: mapresult.Rest, Why: "no mapping by this fingerprint"})
	}
	x.explanation.Mapping = steps
}

// outrank sorts steps by kind, and marks those after the first kind that matches, in the
// order of package certmap. Steps of the kinds after spki are those that the line names, all
// of one kind.
func outrank(steps []certmap.Step) {
	rank := func(s certmap.Step) int { return slices.Index([]string{"spki", "fingerprint"}, s.Kind) }
	slices.SortStableFunc(steps, func(a, b certmap.Step) int { return rank(b) - rank(a) })
	decides := -2
	for i := range steps {
		switch steps[i].Result {
		case mapresult.Matches, mapresult.Disabled, mapresult.OutOfTime:
			if decides = max(decides, rank(steps[i])); rank(steps[i]) < decides {
				steps[i].Result = mapresult.Outranked
			}
		}
	}
	// Within a kind a valid mapping decides before those that are not in effect.
	slices.SortStableFunc(steps, func(a, b certmap.Step) int {
		valid := func(s certmap.Step) int {
			if s.Result == mapresult.Matches {
				return 1
			}
			return 0
		}
		return valid(b) - valid(a)
	})
}
