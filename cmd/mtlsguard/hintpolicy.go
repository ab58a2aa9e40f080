package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/policy"
)

// addNoRule adds the line that would allow exactly the request, then the rules that miss it
// by their path, then the membership that would allow it and more.
func (h *hinter) addNoRule() {
	o := &h.explanation
	if o.Policy == nil {
		return
	}
	user := o.Identity.User
	for _, l := range o.Policy.Lines {
		f := l.Fields
		if l.Effect != policy.Allow || !f[0].Matches || !f[1].Matches || !f[2].Matches || f[3].Matches {
			continue
		}
		if why := describePathMiss(f[3].Wants, o.Path); why != "" {
			h.add(hint{Text: fmt.Sprintf("%s is for %s: %s", l.Position, f[3].Wants, why), File: l.Position.File, Line: l.Position.Line})
		}
	}
	// A log may have lines that no server wrote: a method such as * would allow more.
	if line, ok := report.RuleLine(user, o.Port, o.Method, o.Path); ok {
		h.add(hint{Text: "allow exactly this request", File: h.config.policy, Write: line})
	}
	builtIn := []string{identity.Authenticated, identity.Everybody, identity.Anonymous}
	for _, l := range o.Policy.Lines {
		f := l.Fields
		group, ok := strings.CutPrefix(f[0].Wants, "group:")
		if ok && l.Effect == policy.Allow && !f[0].Matches && f[1].Matches && f[2].Matches && f[3].Matches && user != identity.Default && !slices.Contains(builtIn, group) {
			h.add(hint{Text: fmt.Sprintf("or %s allows the request for group %s: a member may do all that the group may", l.Position, group), File: h.config.policy,
				Write: "g, user:" + user + ", group:" + group})
		}
	}
}

// describePathMiss returns the small difference between a rule's path and a request's, or "".
func describePathMiss(rule, path string) string {
	switch {
	case rule == strings.TrimSuffix(path, "/")+"/*":
		return "it covers the paths below " + path + ", and not " + path + " itself"
	case rule == path+"/" || rule+"/" == path:
		return "the paths differ in the slash at the end"
	case rule != path && strings.EqualFold(rule, path):
		return "the paths differ in case"
	}
	return ""
}

// addDenied names the line that denies the request, and the membership through which it
// does. A hint does not judge whether that is intended.
func (h *hinter) addDenied() {
	o := &h.explanation
	h.add(hint{Text: o.Rule.String() + " denies the request, and deny beats allow: no other line can allow it. Change that line if the user is to be let in", File: o.Rule.File, Line: o.Rule.Line})
	if o.Policy == nil {
		return
	}
	for _, l := range o.Policy.Lines {
		if l.Position != o.Rule || len(l.Through) == 0 {
			continue
		}
		subject := "user:" + o.Identity.User
		for _, group := range l.Through {
			if line := h.config.membershipLine(subject, "group:"+group); line > 0 {
				h.add(hint{Text: fmt.Sprintf("the rule is for group %s, of which %s:%d makes a member: g, %s, group:%s", l.Through[len(l.Through)-1], h.config.policy, line, subject, group), File: h.config.policy, Line: line})
			}
			subject = "group:" + group
		}
	}
}

// membershipLine returns the line of a membership in the policy, or 0.
func (s *configFile) membershipLine(subject, group string) int {
	data, err := certfile.ReadFile(s.policy)
	if err != nil {
		return 0
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		fields := strings.Split(line, ",")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if slices.Equal(fields, []string{"g", subject, group}) {
			return n
		}
	}
	return 0
}
