package importer

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/policy"
)

// Rule adds a line of policy.csv. It reports one that does not load, by Limit if it denies, and
// returns false.
func (l *Line) Rule(r policy.Rule) bool {
	text := "p, " + strings.Join([]string{r.Subject, r.Port, r.Method, r.Path, r.Effect}, ", ")
	return l.addPolicy(text, r.Effect == policy.Deny)
}

// Member adds a line of policy.csv that puts user:NAME or group:NAME into group:NAME.
func (l *Line) Member(subject, group string) bool {
	return l.addPolicy(fmt.Sprintf("g, %s, %s", subject, group), false)
}

// Policy loads the lines of policy.csv that have been added.
func (in *Import) Policy() (*policy.Engine, error) {
	return policy.Load("policy.csv", strings.NewReader(in.policyText()))
}

// addPolicy adds a line of policy.csv, once. The fields of a line are never quoted, so a comma in
// one makes another number of fields, and the line does not load.
func (l *Line) addPolicy(text string, denies bool) bool {
	if _, err := policy.Load("policy.csv", strings.NewReader(text+"\n")); err != nil {
		what, hint := err.Error(), ""
		if all := configerror.All(err); len(all) > 0 {
			what, hint = all[0].What, all[0].Hint
		}
		if what = fmt.Sprintf("%q would not load: %s", text, what); denies {
			l.Limit(what, hint)
		} else {
			l.Skip(what, hint)
		}
		return false
	}
	if !l.in.ruleTexts[text] {
		l.in.ruleTexts[text] = true
		l.in.rules = append(l.in.rules, rule{text, l})
	}
	l.Carry("policy.csv: " + text)
	return true
}
