package policy

import (
	"context"
	"strconv"

	"github.com/mtlsguard/mtlsguard/internal/policycache"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Request is one question to a policy. It must describe what will be served: the path
// decoded and unambiguous, the method as received.
type Request struct {
	User   string // a user's name, without "user:"; identity.Default for the anonymous user
	Port   string // the name of the port that received the request
	Method string // exactly as in the request; methods are case-sensitive
	Path   string // decoded, with its leading slash; "*" for OPTIONS *

	// Caller caches what an Engine looked up about User and Port, for the next request
	// of the same connection. The guard sets it; leave it nil in your own code. It never
	// changes a decision.
	Caller *policycache.Entry
}

// Decision is the answer to a Request. The zero value refuses.
type Decision struct {
	Allowed bool          `json:"allowed"`
	Reason  reason.Reason `json:"reason,omitempty"` // why not: NoRule, Denied or PolicyError; empty when allowed
	Rule    Position      `json:"rule,omitzero"`    // the rule that decided; zero for NoRule
}

// Decider decides requests. An error means no, whatever the decision beside it.
// Implementations are safe for concurrent use. *Engine is one.
type Decider interface {
	Decide(ctx context.Context, r Request) (Decision, error)
}

// Position is the place of a rule in its file. The zero value means no rule.
type Position struct {
	File   string // the name that Load was given, or Rule.File; may be empty
	Line   int    // from 1; 0: the rule has no line
	Number int    // from 1: the place among the rules of the policy; 0: unknown
	Text   string // replaces the rest: a Decider without numbered rules puts its own name of the rule here
}

// String returns "policy.csv:3" for a rule with a line, else "rule 3". It is empty for
// the zero value.
func (p Position) String() string { return p.text("rule") }

// text returns the position of a rule or of a membership.
func (p Position) text(kind string) string {
	switch {
	case p.Text != "":
		return p.Text
	case p.Line > 0 && p.File != "":
		return p.File + ":" + strconv.Itoa(p.Line)
	case p.Line > 0:
		return "line " + strconv.Itoa(p.Line)
	case p.Number == 0:
		return p.File
	case p.File != "":
		return p.File + " " + kind + " " + strconv.Itoa(p.Number)
	}
	return kind + " " + strconv.Itoa(p.Number)
}

// MarshalText implements encoding.TextMarshaler: it returns what String does.
func (p Position) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
