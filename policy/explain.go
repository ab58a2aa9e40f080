package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/rulepath"
	"github.com/mtlsguard/mtlsguard/reason"
)

// maxLines bounds the rules in an explanation.
const maxLines = 50

// Explanation explains the decision about a request. It names users, groups and rules:
// show it to the people who run the service, not to its callers.
type Explanation struct {
	User     string   `json:"user"`
	Groups   []string `json:"groups"`
	Port     string   `json:"port"`
	Method   string   `json:"method"`
	Path     string   `json:"path"`
	Decision Decision `json:"decision"`
	Sentence string   `json:"sentence"`        // the decision for people; plain ASCII, whatever the request contains
	Hints    []string `json:"hints,omitempty"` // what is unusual about the request itself
	Lines    []Line   `json:"lines"`           // the rules that match, then the others, those with the fewest differences first; at most 50
	Omitted  int      `json:"omitted,omitempty"`
}

// Line is one rule of an Explanation: its subject is the user or one of the user's
// groups, or everything but its subject matches.
type Line struct {
	Position Position `json:"position"`
	Text     string   `json:"text"` // the rule, as in policy.csv
	Effect   string   `json:"effect"`
	Matches  bool     `json:"matches"`
	Fields   []field  `json:"fields"`            // subject, port, method and path, each compared with the request
	Through  []string `json:"through,omitempty"` // the groups through which the user has the subject; the last is the subject itself
}

// field is one field of a rule beside the same field of the request.
type field struct {
	Name    string `json:"name"`
	Wants   string `json:"wants"` // in the rule
	Got     string `json:"got"`   // in the request
	Matches bool   `json:"matches"`
	Note    string `json:"note,omitempty"` // what {user} stands for
}

// Explain explains the decision about a request. Its time and memory grow with the
// number of rules, unlike Decide's: it compares the request with every rule.
func (e *Engine) Explain(r Request) Explanation {
	x := Explanation{User: r.User, Port: r.Port, Method: r.Method, Path: r.Path, Groups: e.Groups(r.User)}
	d, err := e.Decide(context.Background(), r)
	x.Decision = d
	if err != nil {
		x.Sentence = fmt.Sprintf("no decision for user %s: %s", printable(r.User), strings.TrimPrefix(err.Error(), "policy: "))
		return x
	}
	x.Lines, x.Omitted = e.explainRules(r, x.Groups)
	x.Sentence = x.sentence()
	x.Hints = e.hints(r)
	return x
}

func (x *Explanation) sentence() string {
	request := fmt.Sprintf("user:%s (groups %s) on port %s for %s %s",
		printable(x.User), strings.Join(x.Groups, ", "), printable(x.Port), printable(x.Method), printable(x.Path))
	switch x.Decision.Reason {
	case "":
		return fmt.Sprintf("%s allows %s", x.Decision.Rule, request)
	case reason.Denied:
		for _, l := range x.Lines {
			if l.Matches && l.Effect == Allow {
				return fmt.Sprintf("%s denies %s, although %s allows it", x.Decision.Rule, request, l.Position)
			}
		}
		return fmt.Sprintf("%s denies %s", x.Decision.Rule, request)
	default:
		return "no rule for " + request
	}
}

// explainRules returns the rules worth showing, best first.
func (e *Engine) explainRules(r Request, groups []string) (lines []Line, omitted int) {
	type candidate struct{ rule, misses int }
	var all []candidate
	unambiguous := r.Path == rulepath.Star || rulepath.IsUnambiguous(r.Path)
	for i := range e.rules.len() {
		rule := e.rule(i)
		misses := 0
		for _, ok := range []bool{
			matchPort(r.Port, rule.Port),
			e.vocabulary.matchMethod(r.Method, rule.Method),
			unambiguous && rulepath.Match(rule.Path, r.Path, r.User),
		} {
			if !ok {
				misses++
			}
		}
		if hasSubject(rule.Subject, r.User, groups) {
			all = append(all, candidate{i, misses})
		} else if misses == 0 {
			all = append(all, candidate{i, 1})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.misses - b.misses })
	if len(all) > maxLines {
		omitted = len(all) - maxLines
		all = all[:maxLines]
	}
	lines = make([]Line, len(all))
	for n, c := range all {
		lines[n] = e.explainRule(c.rule, r, groups)
	}
	return lines, omitted
}

func (e *Engine) explainRule(i int, r Request, groups []string) Line {
	rule := e.rule(i)
	l := Line{Position: e.rules.position(i), Text: rule.text(), Effect: rule.Effect, Fields: []field{
		{"subject", rule.Subject, userPrefix + r.User, hasSubject(rule.Subject, r.User, groups), ""},
		{"port", rule.Port, r.Port, matchPort(r.Port, rule.Port), ""},
		{"method", rule.Method, r.Method, e.vocabulary.matchMethod(r.Method, rule.Method), ""},
		{"path", rule.Path, r.Path, rulepath.Match(rule.Path, r.Path, r.User), noteOnPath(rule.Path, r.User)},
	}}
	l.Matches = !slices.ContainsFunc(l.Fields, func(f field) bool { return !f.Matches })
	if group, ok := strings.CutPrefix(rule.Subject, groupPrefix); ok && l.Fields[0].Matches {
		l.Through = e.groups.chain(r.User, e.groups.groups.find(group))
	}
	return l
}

// hints describes what is unusual about a request: a field that no rule can match, or
// a user that the policy does not name.
func (e *Engine) hints(r Request) []string {
	var out []string
	if e.vocabulary.bit(r.Method) == 0 {
		out = append(out, "the method "+printable(r.Method)+" is not known, so no rule matches it")
	}
	if r.Path != rulepath.Star && !rulepath.IsUnambiguous(r.Path) {
		out = append(out, "the path "+printable(r.Path)+" is ambiguous, so no rule matches it")
	}
	if e.vocabulary.limited && !slices.Contains(e.vocabulary.ports, r.Port) {
		out = append(out, "there is no port "+printable(r.Port))
	}
	if r.User != identity.Default && e.groups.users.find(r.User) == noID {
		out = append(out, "no line of the policy names user:"+r.User)
	}
	return out
}

// String returns the explanation as text of several lines: the sentence, the hints,
// and for each rule the fields that differ. It is plain ASCII.
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
		}
		for _, f := range l.Fields {
			if !f.Matches {
				fmt.Fprintf(&b, "    %s: wants %s, got %s\n", f.Name, plainASCII(f.Wants), printable(f.Got))
			}
			if f.Note != "" {
				fmt.Fprintf(&b, "    %s\n", f.Note)
			}
		}
	}
	if x.Omitted > 0 {
		fmt.Fprintf(&b, "  and %d more rules that differ in more fields\n", x.Omitted)
	}
	return b.String()
}

// printable returns a part of a request for a log or a terminal: unchanged if it is
// short, plain and not empty, else quoted.
func printable(s string) string {
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

// plainASCII returns a text of the policy, quoted if it is not printable ASCII.
func plainASCII(s string) string {
	for _, b := range []byte(s) {
		if b < ' ' || b > '~' {
			return escape.Quote(s, escape.Short)
		}
	}
	return s
}
