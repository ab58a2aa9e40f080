package pgident

import (
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// userOf returns the user that a line gives to a certificate.
func (t *translation) userOf(e *entry, c *importer.Certificate) (string, bool) {
	text, ok := t.key.Text(c)
	if !ok || !t.in.IssuedUnder(c) {
		return "", false
	}
	if !e.isExpression {
		return e.user, e.system == text
	}
	if e.expression == nil {
		return "", false
	}
	found := e.expression.Match.FindStringSubmatch(text)
	if found == nil {
		return "", false
	}
	if !e.capturesTheUser {
		return e.user, true
	}
	if len(found) < 2 {
		return "", false // PostgreSQL refuses the connection
	}
	return strings.Replace(e.user, `\1`, found[1], 1), true
}

// candidates returns the lines that may be about a certificate: those with its text, and every regular
// expression.
func (t *translation) candidates(c *importer.Certificate) []*entry {
	if t.byText == nil {
		t.byText = map[string][]*entry{}
		for _, e := range t.entries {
			if e.isExpression {
				t.expressions = append(t.expressions, e)
			} else {
				t.byText[e.system] = append(t.byText[e.system], e)
			}
		}
	}
	text, _ := t.key.Text(c)
	return slices.Concat(t.byText[text], t.expressions)
}

// users is Import.SourceUsers.
func (t *translation) users(c *importer.Certificate) (out []string, known bool) {
	if _, ok := t.key.Text(c); !ok {
		return nil, false
	}
	known = true
	for _, e := range t.candidates(c) {
		known = known && (!e.isExpression || e.expression != nil)
		user, ok := t.userOf(e, c)
		if !ok {
			continue
		}
		if _, name, why := t.pattern(e); !e.isExpression || why != "" || name != username.Variable { // a pattern does not rename what it captures
			user, _ = t.in.Rename(user)
		}
		out = append(out, user)
	}
	slices.Sort(out)
	return slices.Compact(out), known
}
