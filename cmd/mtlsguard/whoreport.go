package main

import (
	"fmt"
	"strings"
)

// whoReport is the JSON of who.
type whoReport struct {
	Method string        `json:"method"`
	Path   string        `json:"path"`
	Ports  []portCallers `json:"ports"`
}

// portCallers are the users who may make the request on one port.
type portCallers struct {
	Port      string   `json:"port"`
	Users     []caller `json:"users"`
	Denied    []caller `json:"denied,omitempty"`     // a rule allows them, and another denies
	NotMapped []caller `json:"not_mapped,omitempty"` // the policy allows them, and no mapping in effect gives this user
	Anonymous bool     `json:"anonymous"`            // whether callers without a certificate are the user Default
	Inner     bool     `json:"inner,omitempty"`      // whether the server behind the port decides
}

// caller is one user, or the users of one kind.
type caller struct {
	User     string          `json:"user,omitempty"` // absent for any other user
	Kind     string          `json:"kind"`
	Rule     string          `json:"rule"` // file:line
	Text     string          `json:"text"` // of the rule
	Through  []string        `json:"through,omitempty"`
	Mappings []callerMapping `json:"mappings,omitempty"`
	LastSeen string          `json:"last_seen,omitempty"`
	Why      string          `json:"why,omitempty"` // why a mapping of the user is not in effect
}

// Kinds of callers.
const (
	callerNamed     = "user"
	callerOther     = "other"     // any other user that a pattern gives
	callerUnmapped  = "unmapped"  // trusted certificates without a mapping
	callerAnonymous = "anonymous" // callers without a certificate
)

type callerMapping struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Value    string `json:"value"`
	At       string `json:"at"`               // file:line
	Issuer   string `json:"issuer,omitempty"` // absent: any that the port trusts
	NotAfter string `json:"not_after,omitempty"`
}

// name returns the user, or the users, of a row.
func (c *caller) name() string {
	switch c.Kind {
	case callerOther:
		return "any other user"
	case callerUnmapped:
		return c.User + " (any trusted certificate without a mapping)"
	case callerAnonymous:
		return c.User + " (anyone, without a certificate)"
	}
	return c.User
}

// rule returns the rule of a row, with the group through which it applies.
func (c *caller) rule() string {
	if len(c.Through) > 0 {
		return c.Rule + ", group " + strings.Join(c.Through, " in ")
	}
	return c.Rule
}

func (r *whoReport) print(a *app, logged bool) {
	for i, p := range r.Ports {
		if i > 0 {
			a.printf("\n")
		}
		switch n := len(p.Users); {
		case p.Inner:
			a.printf("%s %s on port %s: the server behind the port decides\n", r.Method, printable(r.Path), p.Port)
			continue
		case n == 0:
			a.printf("%s %s on port %s: no user\n", r.Method, printable(r.Path), p.Port)
		default:
			a.printf("%s %s on port %s\n", r.Method, printable(r.Path), p.Port)
			a.printTable("  ", p.rows(logged))
		}
		for _, c := range p.Denied {
			a.printf("  denied: %s, by %s: %s\n", c.name(), c.rule(), printable(c.Text))
		}
		for _, c := range p.NotMapped {
			a.printf("  allowed by %s, and not mapped: %s, %s\n", c.rule(), c.name(), printable(c.Why))
		}
		if !p.Anonymous {
			a.printf("  without a certificate: refused\n")
		} else if !p.allowsDefault() {
			a.printf("  without a certificate: refused, as no rule allows Default the request\n")
		}
	}
}

func (p *portCallers) allowsDefault() bool {
	for _, c := range p.Users {
		if c.Kind == callerAnonymous {
			return true
		}
	}
	return false
}

func (p *portCallers) rows(logged bool) [][]string {
	head := []string{"USER", "RULE", "MAPPING", "ISSUER"}
	if logged {
		head = append(head, "LAST SEEN")
	}
	rows := [][]string{head}
	for _, c := range p.Users {
		row := []string{c.name(), c.rule(), "", ""}
		if len(c.Mappings) > 0 {
			row[2], row[3] = c.Mappings[0].text(), c.Mappings[0].issuer()
		}
		if seen := c.LastSeen; logged && c.Kind != callerOther {
			if seen == "" {
				seen = "not in the log"
			}
			row = append(row, seen)
		}
		rows = append(rows, row)
		if c.Why != "" {
			rows = append(rows, []string{"", "", printable(c.Why)})
		}
		for _, m := range c.Mappings[min(1, len(c.Mappings)):] {
			rows = append(rows, []string{"", "", m.text(), m.issuer()})
		}
	}
	return rows
}

func (m *callerMapping) text() string {
	text := fmt.Sprintf("%s %s, by %s", printable(m.ID), m.At, m.Kind)
	if m.NotAfter != "" {
		text += " until " + m.NotAfter
	}
	return text
}

func (m *callerMapping) issuer() string {
	if m.Issuer == "" {
		return "any that the port trusts"
	}
	return m.Issuer
}
