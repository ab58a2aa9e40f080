package policy

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/rulepath"
)

// Rule is one p line of a policy. The package comment has the grammar of each field.
type Rule struct {
	Subject string // "user:NAME" or "group:NAME"
	Port    string // the name of one port, or "*"
	Method  string // "GET", "GET|POST", or "*"
	Path    string // "/orders/{id}/*", "/users/{user}"
	Effect  string // Allow or Deny
	File    string // the file of the rule; may be empty
	Line    int    // from 1; 0: the rule has no line
}

// The effects of a Rule on the requests that it matches.
const (
	Allow = "allow"
	Deny  = "deny"
)

// Member is one g line of a policy: it puts a user or a group into a group.
type Member struct {
	Subject string // "user:NAME" or "group:NAME"
	Group   string // "group:NAME"
	File    string // the file of the line; may be empty
	Line    int    // from 1; 0: the membership has no line
}

// Limits that are not settings: they bound the cost of one decision.
const (
	maxNesting = 32   // groups inside groups
	maxGroups  = 1024 // groups of one user, nested ones included
)

// The two types of line.
const (
	typeRule   = "p"
	typeMember = "g"
)

// text returns the rule as a line of policy.csv.
func (r *Rule) text() string {
	var b strings.Builder
	b.WriteString(typeRule + ", ")
	r.writeTo(&b, ", ")
	return b.String()
}

// writeTo writes the fields of the rule in Casbin's order.
func (r *Rule) writeTo(b *strings.Builder, comma string) {
	writeFields(b, comma, r.Subject, r.Port, r.Method, r.Path, r.Effect)
}

// writeTo writes the fields of the membership in Casbin's order.
func (m *Member) writeTo(b *strings.Builder, comma string) {
	writeFields(b, comma, m.Subject, m.Group)
}

func writeFields(b *strings.Builder, comma string, fields ...string) {
	for i, f := range fields {
		if i > 0 {
			b.WriteString(comma)
		}
		b.WriteString(f)
	}
}

// checkRule checks the i-th rule, from 0, and reports whether it has no error.
func (c *checker) checkRule(r *Rule, i int) bool {
	before := c.count()
	reject := c.reject(Position{File: r.File, Line: r.Line, Number: i + 1}, "rule")
	reject(checkSubject(r.Subject))
	reject(c.vocabulary.checkPort(r.Port))
	_, wrong, hint := c.vocabulary.mask(r.Method)
	reject(wrong, hint)
	reject(rulepath.Check(r.Path))
	reject(checkEffect(r.Effect))
	return c.count() == before
}

// checkMember checks the i-th membership, from 0, and reports whether it has no error.
func (c *checker) checkMember(m *Member, i int) bool {
	before := c.count()
	reject := c.reject(Position{File: m.File, Line: m.Line, Number: i + 1}, "membership")
	reject(checkSubject(m.Subject))
	if m.Subject == userPrefix+identity.Default {
		reject("user:Default cannot be a member of a group", "its groups are Everybody and Anonymous, and they can be members: g, group:Anonymous, "+m.Group)
	}
	group, isGroup := strings.CutPrefix(m.Group, groupPrefix)
	switch wrong, hint := checkSubject(m.Group); {
	case wrong != "":
		reject(wrong, hint)
	case !isGroup:
		reject(escape.Quote(m.Group, escape.Short)+" is not a group", "write: "+formMember)
	case isBuiltIn(group):
		reject("group:"+group+" takes no members", "every user is in Everybody; named users are in Authenticated, Default is in Anonymous")
	}
	return c.count() == before
}

func checkEffect(effect string) (wrong, hint string) {
	switch {
	case effect == Allow || effect == Deny:
		return "", ""
	case effect == "":
		return "the effect is empty", "write allow or deny"
	case strings.Contains(effect, "#"):
		return "the effect " + escape.Quote(effect, escape.Short) + " is neither allow nor deny", "a comment needs a line of its own"
	}
	return "the effect " + escape.Quote(effect, escape.Short) + " is neither allow nor deny", "write allow or deny, in lower case"
}
