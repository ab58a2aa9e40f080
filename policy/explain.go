package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/reason"
)

// mostLines bounds an explanation.
const mostLines = 50

// Explanation is why a request is decided as it is. It names users, groups and
// rules: it is for those who run the service, not for those who call it.
type Explanation struct {
	User     string   `json:"user"`
	Groups   []string `json:"groups"`
	Port     string   `json:"port"`
	Method   string   `json:"method"`
	Path     string   `json:"path"`
	Decision Decision `json:"decision"`
	Sentence string   `json:"sentence"`        // the decision, for people; plain ASCII whatever the caller sent
	Hints    []string `json:"hints,omitempty"` // what is odd about the request itself
	Lines    []Line   `json:"lines"`           // those that match first, then those that miss least
	Omitted  int      `json:"omitted,omitempty"`
}

// Line is a rule that was considered: one whose subject is the user or a group of
// theirs, or that misses in the subject alone.
type Line struct {
	Position string   `json:"position"`
	Text     string   `json:"text"` // the rule
	Effect   Effect   `json:"effect"`
	Matches  bool     `json:"matches"`
	Fields   []Field  `json:"fields"`            // subject, port, method, path
	Through  []string `json:"through,omitempty"` // the groups by which the user has the subject, the subject's own last
}

// Field is what a rule wants of one field, and what the request has.
type Field struct {
	Name    string `json:"name"`
	Wants   string `json:"wants"`
	Got     string `json:"got"`
	Matches bool   `json:"matches"`
}

// Explain explains a request. It goes through all rules, so its time and memory
// grow with the policy, unlike Decide's.
func (e *Engine) Explain(r Request) Explanation {
	x := Explanation{User: r.User, Port: r.Port, Method: r.Method, Path: r.Path, Groups: e.Groups(r.User)}
	d, err := e.Decide(context.Background(), r)
	x.Decision = d
	if err != nil {
		x.Sentence = fmt.Sprintf("no decision for user %s: %s", shown(r.User), strings.TrimPrefix(err.Error(), "policy: "))
		return x
	}
	x.Lines, x.Omitted = e.considered(r, x.Groups)
	x.Sentence = x.sentence()
	x.Hints = e.hints(r)
	return x
}

func (x *Explanation) sentence() string {
	asked := fmt.Sprintf("user:%s (groups %s) on port %s for %s %s",
		shown(x.User), strings.Join(x.Groups, ", "), shown(x.Port), shown(x.Method), shown(x.Path))
	switch x.Decision.Reason {
	case "":
		return fmt.Sprintf("%s allows %s", x.Decision.Rule, asked)
	case reason.Denied:
		for _, l := range x.Lines {
			if l.Matches && l.Effect == Allow {
				return fmt.Sprintf("%s denies %s, although %s allows it", x.Decision.Rule, asked, l.Position)
			}
		}
		return fmt.Sprintf("%s denies %s", x.Decision.Rule, asked)
	default:
		return "no rule for " + asked
	}
}

// considered returns the lines worth showing, best first.
func (e *Engine) considered(r Request, groups []string) (lines []Line, omitted int) {
	type candidate struct{ rule, misses int }
	var all []candidate
	isClean := r.Path == starPath || clean(r.Path)
	for i := range e.lines.len() {
		f := strings.SplitN(e.lines.at(i), ",", 5)
		subject := has(f[0], r.User, groups)
		misses := 0
		for _, ok := range []bool{
			matchPort(r.Port, f[1]),
			e.words.matchMethod(r.Method, f[2]),
			isClean && matchPath(f[3], r.Path),
		} {
			if !ok {
				misses++
			}
		}
		if subject {
			all = append(all, candidate{i, misses})
		} else if misses == 0 {
			all = append(all, candidate{i, 1})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.misses - b.misses })
	if len(all) > mostLines {
		omitted = len(all) - mostLines
		all = all[:mostLines]
	}
	lines = make([]Line, len(all))
	for n, c := range all {
		lines[n] = e.line(c.rule, r, groups)
	}
	return lines, omitted
}

func (e *Engine) line(i int, r Request, groups []string) Line {
	f := strings.SplitN(e.lines.at(i), ",", 5)
	l := Line{Position: e.rulePos.at(i), Effect: Effect(f[4]), Fields: []Field{
		{"subject", f[0], userPrefix + r.User, has(f[0], r.User, groups)},
		{"port", f[1], r.Port, matchPort(r.Port, f[1])},
		{"method", f[2], r.Method, e.words.matchMethod(r.Method, f[2])},
		{"path", f[3], r.Path, matchPath(f[3], r.Path)},
	}}
	l.Text = Rule{Subject: f[0], Port: f[1], Method: f[2], Path: f[3], Effect: l.Effect}.String()
	l.Matches = !slices.ContainsFunc(l.Fields, func(f Field) bool { return !f.Matches })
	if group, ok := strings.CutPrefix(f[0], groupPrefix); ok && l.Fields[0].Matches {
		l.Through = e.graph.chain(r.User, e.graph.groups.find(group))
	}
	return l
}

// has reports whether a user in these groups has a subject.
func has(subject, user string, groups []string) bool {
	if group, ok := strings.CutPrefix(subject, groupPrefix); ok {
		_, found := slices.BinarySearch(groups, group)
		return found
	}
	return subject == userPrefix+user
}

// hints says what is odd about a request: what no rule could match, or what looks
// like another thing.
func (e *Engine) hints(r Request) []string {
	var out []string
	if e.words.bit(r.Method) == 0 {
		out = append(out, "the method "+shown(r.Method)+" is not known, so no rule can allow it")
	}
	if r.Path != starPath && !clean(r.Path) {
		out = append(out, "the path "+shown(r.Path)+" can be read in more than one way, so no rule can match it")
	}
	if e.words.limited && !slices.Contains(e.words.ports, r.Port) {
		out = append(out, "there is no port "+shown(r.Port))
	}
	if r.User != Default && e.graph.users.find(r.User) == nowhere {
		out = append(out, "no line of the policy names user:"+r.User)
	}
	return out
}

// String returns the explanation as text of several lines: the sentence, the
// hints, and for each rule the fields that did not match. It is plain ASCII.
func (x Explanation) String() string {
	var b strings.Builder
	b.WriteString(x.Sentence + "\n")
	for _, h := range x.Hints {
		b.WriteString("hint: " + h + "\n")
	}
	for _, l := range x.Lines {
		fmt.Fprintf(&b, "  %s: %s\n", l.Position, plainASCII(l.Text))
		if l.Matches {
			fmt.Fprintf(&b, "    matches: %s", l.Effect)
			if len(l.Through) > 0 {
				b.WriteString(", by group " + strings.Join(l.Through, " in "))
			}
			b.WriteString("\n")
			continue
		}
		for _, f := range l.Fields {
			if !f.Matches {
				fmt.Fprintf(&b, "    %s: wants %s, got %s\n", f.Name, plainASCII(f.Wants), shown(f.Got))
			}
		}
	}
	if x.Omitted > 0 {
		fmt.Fprintf(&b, "  and %d more rules that match less\n", x.Omitted)
	}
	return b.String()
}

// shown returns what a caller wrote as it stands if it is short, plain and not
// empty, and quoted otherwise: it may end in a log or on a terminal.
func shown(s string) string {
	if s == "" || len(s) > 80 {
		return escape.Quote(s, escape.Short)
	}
	for _, b := range []byte(s) {
		if b <= ' ' || b > '~' || b == '"' {
			return escape.Quote(s, escape.Short)
		}
	}
	return s
}

// plainASCII escapes what is beyond printable ASCII.
func plainASCII(s string) string {
	for _, b := range []byte(s) {
		if b < ' ' || b > '~' {
			return escape.Quote(s, escape.Short)
		}
	}
	return s
}
