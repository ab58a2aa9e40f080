package certmap

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Step is the result of one mapping in a decision.
type Step struct {
	MappingID string
	User      string // of the mapping, or the captured one
	Kind      string // key of the mapping's kind in users.yaml
	File      string // position of the mapping; may be empty
	Line      int    // from 1; 0 means unknown

	// Result is one of:
	//
	//	matches       valid, and of the kind that decides
	//	outranked     matches, but a kind before it decides
	//	disabled      matches, and the certificate is refused
	//	out of time   the same, because of the mapping's dates
	//	other port    would match on another port, and is ignored on this one
	//	other issuer  would match under another CA, and is ignored under this one
	//	near miss     does not match because of a small difference, which is in Why
	//	differs       does not match
	//	rest          stands for the mappings that are not listed; only Why is set
	Result string

	Wanted string // the mapping's value
	Got    string // the certificate's values, escaped: the client chose them
	Why    string // a reason for the result; may be empty
}

// String returns the step in one line for a terminal or a log. It has no control
// characters.
func (s Step) String() string {
	if s.Result == mapresult.Rest {
		return s.Why
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s: wanted %s, got %s", s.Kind, escape.Quote(s.MappingID, escape.Short), s.Result, escape.Quote(s.Wanted, escape.Short), s.Got)
	if s.Result == mapresult.Matches || s.Result == mapresult.Outranked {
		b.WriteString(", user " + escape.Quote(s.User, escape.Short))
	}
	if s.Why != "" {
		b.WriteString("; " + s.Why)
	}
	return b.String()
}

// Limits of an explanation of a large table.
const (
	maxSteps   = 200
	maxCompare = 20_000 // mappings that are compared for near misses
)

// Explain returns the result of each mapping in the decision that Map makes, in the order
// of the table: the mapping's value, the certificate's, and the difference if it is small.
// Explain decides nothing. For a large table it returns the mappings that match, then near
// misses among the first 20,000 mappings, then others, 200 in all, and a last Step for the
// rest. It costs far more than Map.
func (t *Table) Explain(v trust.Verified, port string) []Step {
	if t == nil || v.IsZero() {
		return nil
	}
	x := explainer{t: t, v: v, port: port, now: t.now(), cert: newCertificate(v)}
	x.findMatches()
	for r, e := range t.all() {
		x.explain(r, e)
	}
	return x.steps()
}

type explainer struct {
	t        *Table
	v        trust.Verified
	port     string
	now      time.Time
	cert     *certificate
	users    map[ref]string // users of the mappings with the certificate's value
	decides  kind
	compared int
	matches  []placedStep
	near     []placedStep
	others   []placedStep
	omitted  int
}

// placedStep is a step with the place of its mapping in the table.
type placedStep struct {
	at   ref
	step Step
}

// findMatches makes the same look-ups as Map.
func (x *explainer) findMatches() {
	x.users = map[ref]string{}
	s := search{table: x.t, v: x.v, visit: func(r ref, user string) {
		x.users[r] = user
		e := x.t.at(r)
		if level := e.kind.level(); e.terms.includePort(x.port) && e.isIssuedUnder(x.v) && (x.decides == noKind || level < x.decides) {
			x.decides = level
		}
	}}
	for k := byFingerprint; k <= bySubjectPattern; k++ {
		s.lookUpKind(k)
	}
}

func (x *explainer) explain(r ref, e *entry) {
	x.compared++
	user, matches := x.users[r]
	if !matches && (x.compared > maxCompare || len(x.near) >= maxSteps) {
		x.omitted++
		return
	}
	s := x.step(e)
	if matches {
		s.User = user
		s.Result, s.Why = x.resultOf(e)
		x.matches = append(x.matches, placedStep{r, s})
		return
	}
	if s.Why = x.cert.nearMiss(e); s.Why != "" {
		s.Result = mapresult.NearMiss
		x.near = append(x.near, placedStep{r, s})
		return
	}
	if len(x.others) == maxSteps {
		x.omitted++
		return
	}
	s.Result, s.Why = mapresult.Differs, x.cert.obstacle(e.kind)
	x.others = append(x.others, placedStep{r, s})
}

// resultOf returns the result of a mapping with the certificate's value, and the reason.
func (x *explainer) resultOf(e *entry) (result, why string) {
	switch {
	case !e.terms.includePort(x.port):
		return mapresult.OtherPort, "the mapping is for " + quoteAll(e.terms.portList()) + " only, and this is " + escape.Quote(x.port, escape.Short)
	case !e.isIssuedUnder(x.v):
		if e.kind == bySerial && trustaccess.IssuedUnder(x.v, e.terms.issuer) {
			return mapresult.OtherIssuer, "for a serial number the issuer is the direct one, and " + e.terms.issuer.String() + "is further up the chain"
		}
		return mapresult.OtherIssuer, "wanted under " + e.issuerText() + ", got " + x.cert.issuers
	case e.kind.level() != x.decides:
		return mapresult.Outranked, "a " + x.decides.String() + " mapping decides, which comes before " + e.kind.rank()
	case e.disabled:
		return mapresult.Disabled, "the certificate is refused: a disabled mapping still matches"
	case x.now.Before(e.terms.notBefore):
		return mapresult.OutOfTime, "valid from " + e.terms.notBefore.UTC().Format(time.RFC3339)
	case !e.terms.validAt(x.now):
		return mapresult.OutOfTime, "was valid until " + e.terms.notAfter.UTC().Format(time.RFC3339)
	}
	return mapresult.Matches, ""
}

// steps returns the steps of all lists, in the order of the table.
func (x *explainer) steps() []Step {
	all := slices.Concat(x.matches, x.near, x.others)
	if len(all) > maxSteps {
		x.omitted += len(all) - maxSteps
		all = all[:maxSteps]
	}
	slices.SortFunc(all, func(a, b placedStep) int { return x.t.compareRefs(a.at, b.at) })
	out := make([]Step, 0, len(all)+1)
	for _, p := range all {
		out = append(out, p.step)
	}
	if x.omitted > 0 {
		out = append(out, Step{Result: mapresult.Rest, Why: fmt.Sprintf("and %d mappings more", x.omitted)})
	}
	return out
}
