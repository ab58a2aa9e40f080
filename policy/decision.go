package policy

import (
	"context"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Request is what is asked. It must be what will be served: the path decoded and
// unambiguous, the method as received.
type Request struct {
	User   string // a user's name, without "user:"; Default for the anonymous user
	Port   string // the name of the port that the request came in by
	Method string // exactly as in the request; methods have a case
	Path   string // decoded, with its leading slash; "*" for OPTIONS *

	// Caller, if not nil, is where an Engine may remember what it found out about User and
	// Port, for the next request of the same connection. It never changes a decision.
	Caller *Caller
}

// Decision is the answer. The zero value refuses.
type Decision struct {
	Allowed bool          `json:"allowed"`
	Reason  reason.Reason `json:"reason,omitempty"` // why not: NoRule, Denied or PolicyError; empty when allowed
	Rule    string        `json:"rule,omitempty"`   // the line that decided, "policy.csv:3" or "rule 3"; empty for NoRule
}

// Decider decides. An error means no, whatever the decision says. Implementations
// are safe for concurrent use. *Engine is one.
type Decider interface {
	Decide(ctx context.Context, r Request) (Decision, error)
}

// Effect is what a rule does with a request that it matches.
type Effect string

// The effects.
const (
	Allow Effect = "allow"
	Deny  Effect = "deny"
)

// Rule is one p line. The package comment has the grammar of each field.
type Rule struct {
	Subject string // "user:NAME" or "group:NAME"
	Port    string // one port's name, or "*"
	Method  string // "GET", "GET|POST", or "*"
	Path    string // "/orders/{id}/*"
	Effect  Effect
	File    string // where the rule stands; may be empty
	Line    int    // from 1; 0 if it stands nowhere
}

// String returns the rule as a line of policy.csv.
func (r Rule) String() string {
	return "p, " + r.Subject + ", " + r.Port + ", " + r.Method + ", " + r.Path + ", " + string(r.Effect)
}

// Member is one g line: who stands in which group.
type Member struct {
	Subject string // "user:NAME" or "group:NAME"
	Group   string // "group:NAME"
	File    string // where the line stands; may be empty
	Line    int    // from 1; 0 if it stands nowhere
}

// String returns the membership as a line of policy.csv.
func (m Member) String() string { return "g, " + m.Subject + ", " + m.Group }

// The reserved names. They cannot be redefined.
const (
	Default       = "Default"       // the anonymous user
	Everybody     = "Everybody"     // the group of every user, Default included
	Authenticated = "Authenticated" // the group of every user but Default
	Anonymous     = "Anonymous"     // the group of Default alone
)

// Limits that are not settings: they bound what one decision can cost.
const (
	maxNesting  = 32   // groups inside groups
	maxGroups   = 1024 // groups of one user, nested ones included
	maxSegments = 32   // segments of a path in a rule
)

// Option is a choice about what rules may say.
type Option func(*vocabulary)

// Ports names the ports that exist: a rule for any other is a mistake. Without
// this option a rule may name any port.
func WithPorts(names ...string) Option {
	return func(v *vocabulary) { v.limitPorts(names) }
}

// Methods names methods that rules may use beyond GET HEAD POST PUT PATCH DELETE
// OPTIONS, in upper case. They are part of what "*" covers.
func WithMethods(extra ...string) Option {
	return func(v *vocabulary) { v.extra = append(v.extra, extra...) }
}

// New builds an engine from rules and memberships. The error joins every mistake
// in them. New(nil, nil) denies everything.
func New(rules []Rule, members []Member, options ...Option) (*Engine, error) {
	c := newChecker(options)
	for i := range rules {
		c.rule(&rules[i], i)
	}
	for i := range members {
		c.member(&members[i], i)
	}
	return build(c, rules, members)
}

// DenyAll returns the engine of the empty policy.
func DenyAll() *Engine {
	e, err := New(nil, nil)
	if err != nil {
		return nil // a nil engine refuses too
	}
	return e
}

// build makes the engine of what c has checked, or returns c's mistakes.
func build(c *checker, rules []Rule, members []Member) (*Engine, error) {
	g := newGraph(rules, members, c)
	if err := c.err(); err != nil {
		return nil, err
	}
	// Casbin reads the same lines while they are compiled. It sees nothing that
	// has not been checked, so this error is one that nobody expects.
	judged := make(chan error, 1)
	go func() {
		_, err := newEnforcer(c.words, len(rules), len(members),
			func(i int) []string { return ruleFields(&rules[i]) },
			func(i int) []string { return []string{members[i].Subject, members[i].Group} })
		judged <- err
	}()
	e := compile(c, g, rules, members)
	if err := <-judged; err != nil {
		c.add("", 0, "Casbin refuses the policy: "+err.Error(), "")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	return e, nil
}

func ruleFields(r *Rule) []string {
	return []string{r.Subject, r.Port, r.Method, r.Path, string(r.Effect)}
}
