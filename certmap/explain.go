package certmap

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Result is what became of one mapping.
type Result string

// Results of a Step.
const (
	Matched     Result = "matches"      // in force, and of the kind that decides
	Outranked   Result = "outranked"    // matches, but a kind before it decides
	Disabled    Result = "disabled"     // matches, and makes the certificate nobody's
	OutOfTime   Result = "out of time"  // the same
	OtherPort   Result = "other port"   // would match on another port: not there
	OtherIssuer Result = "other issuer" // would match under another CA
	Near        Result = "near miss"    // does not match, by little: Why says by what
	Differs     Result = "differs"      // does not match
	Rest        Result = "rest"         // stands for mappings that are not listed
)

// Step is what became of one mapping in a decision.
type Step struct {
	MappingID string
	User      string // whom it names, or what it captured
	Kind      string // the key of its kind in users.yaml
	File      string
	Line      int
	Result    Result
	Wanted    string // what the mapping says
	Got       string // what the certificate says; escaped, because it is anybody's text
	Why       string
}

// String is one line for a terminal or a log. It holds no control character.
func (s Step) String() string {
	if s.Result == Rest {
		return s.Why
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s: wanted %s, got %s", s.Kind, escape.Quote(s.MappingID, escape.Short), s.Result, escape.Quote(s.Wanted, escape.Short), s.Got)
	if s.Result == Matched || s.Result == Outranked {
		b.WriteString(", user " + escape.Quote(s.User, escape.Short))
	}
	if s.Why != "" {
		b.WriteString("; " + s.Why)
	}
	return b.String()
}

// Bounds of an explanation of a large table.
const (
	maxSteps = 200
	maxNear  = 20_000 // mappings that are looked at for near misses
)

// Explain tells, mapping by mapping in the order of the file, what Map does and
// why: what was wanted, what the certificate has, and where little is missing,
// what. It decides nothing. Of a large table it lists what matches, then near
// misses among the first 20,000 mappings, then others, 200 in all, and ends with
// a Step for the rest. It costs far more than Map.
func (t *Table) Explain(v trust.Verified, port string) []Step {
	if t == nil || v.IsZero() {
		return nil
	}
	x := explainer{t: t, v: v, port: port, now: t.now(), facts: factsOf(v)}
	x.find()
	t.each(x.step)
	return x.steps()
}

type explainer struct {
	t       *Table
	v       trust.Verified
	port    string
	now     time.Time
	facts   *facts
	hits    map[uint32]string // user by position, of mappings with the certificate's value
	decides kind
	seen    int
	hit     []placed
	near    []placed
	other   []placed
	left    int
}

type placed struct {
	at   uint32
	step Step
}

// find asks the same look-ups as Map.
func (x *explainer) find() {
	x.hits = map[uint32]string{}
	f := tally{table: x.t, v: x.v, hit: func(p uint32, user string) {
		x.hits[p] = user
		e := x.t.entries.at(p)
		if level := e.kind.level(); e.with.onPort(x.port) && e.issued(x.v) && (x.decides == none || level < x.decides) {
			x.decides = level
		}
	}}
	for k := byFingerprint; k <= bySubjectPattern; k++ {
		f.look(k)
	}
}

func (x *explainer) step(p uint32, e *entry) {
	x.seen++
	user, hit := x.hits[p]
	if !hit && (x.seen > maxNear || len(x.near) >= maxSteps) {
		x.left++
		return
	}
	s := Step{
		MappingID: e.id(), User: e.user(), Kind: e.kind.String(), File: e.with.file, Line: int(e.line),
		Wanted: e.written(), Got: x.facts.got(e.kind),
	}
	if hit {
		s.User = user
		s.Result, s.Why = x.became(e)
		x.hit = append(x.hit, placed{p, s})
		return
	}
	if s.Why = x.facts.near(e); s.Why != "" {
		s.Result = Near
		x.near = append(x.near, placed{p, s})
		return
	}
	if s.Result, s.Why = Differs, x.facts.why(e.kind); len(x.other) < maxSteps {
		x.other = append(x.other, placed{p, s})
		return
	}
	x.left++
}

// became says what became of a mapping with the certificate's value.
func (x *explainer) became(e *entry) (Result, string) {
	switch {
	case !e.with.onPort(x.port):
		return OtherPort, "it is there on " + quoteAll(e.with.portList()) + " only, and this is " + escape.Quote(x.port, escape.Short)
	case !e.issued(x.v):
		if e.kind == bySerial && trustaccess.IssuedUnder(x.v, e.with.issuer) {
			return OtherIssuer, "for a serial number the issuer is the direct one, and " + e.with.issuer.String() + " stands further up"
		}
		return OtherIssuer, "wanted under " + e.with.issuer.String() + ", got " + x.facts.issuers
	case e.kind.level() != x.decides:
		return Outranked, "a " + x.decides.String() + " mapping decides, which comes before " + e.kind.String()
	case e.disabled:
		return Disabled, "a disabled mapping means the certificate: it is nobody's by this kind"
	case x.now.Before(e.with.notBefore):
		return OutOfTime, "in force from " + e.with.notBefore.UTC().Format(time.RFC3339)
	case !e.with.inForce(x.now):
		return OutOfTime, "was in force until " + e.with.notAfter.UTC().Format(time.RFC3339)
	}
	return Matched, ""
}

// steps puts the lists together, in the order of the file.
func (x *explainer) steps() []Step {
	all := slices.Concat(x.hit, x.near, x.other)
	if len(all) > maxSteps {
		x.left += len(all) - maxSteps
		all = all[:maxSteps]
	}
	slices.SortFunc(all, func(a, b placed) int { return int(a.at) - int(b.at) })
	out := make([]Step, 0, len(all)+1)
	for _, p := range all {
		out = append(out, p.step)
	}
	if x.left > 0 {
		out = append(out, Step{Result: Rest, Why: fmt.Sprintf("and %d mappings more", x.left)})
	}
	return out
}

func quoteAll(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = escape.Quote(t, escape.Short)
	}
	return strings.Join(quoted, ", ")
}
