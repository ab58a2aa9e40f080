package nginxconf

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/regex"
)

// result is the value of a map for a certificate.
type result struct {
	entry *entry // nil: the default ""
	value string
	known bool // false: an expression that is not understood comes before
}

// lookUp returns what nginx's map gives for a text: the exact keys first, then the patterns in
// their order, then the default.
func (t *translation) lookUp(r *role, text string) result {
	m := r.block
	known := len(m.missing) == 0 && !m.hostnames
	if t.exact[m] == nil {
		t.exact[m] = map[string]*entry{}
		for _, e := range m.exact {
			if key := importer.FoldASCII(e.key); t.exact[m][key] == nil {
				t.exact[m][key] = e
			}
		}
	}
	if e := t.exact[m][importer.FoldASCII(text)]; e != nil {
		return result{e, e.value, known && isLiteral(e.value)}
	}
	for _, e := range m.patterns {
		p := t.pattern(e)
		if p == nil {
			return result{}
		}
		found := p.Match.FindStringSubmatch(text)
		if found == nil {
			continue
		}
		value, ok := expand(p, e.value, found)
		return result{e, value, known && ok}
	}
	if m.otherwise == nil {
		return result{known: known}
	}
	return result{m.otherwise, m.otherwise.value, known && isLiteral(m.otherwise.value)}
}

// pattern returns the pattern of an entry, or nil if it is not understood.
func (t *translation) pattern(e *entry) *regex.Pattern {
	p, ok := t.patterns[e]
	if !ok {
		p, _ = regex.Parse(e.key, e.fold)
		t.patterns[e] = p
	}
	return p
}

// verdict is the user that nginx derives from a certificate, and the line that decides it.
type verdict struct {
	user  string
	by    *entry
	known bool
}

// certificateUser returns the user that nginx derives from a certificate, and the line that decides it.
func (t *translation) certificateUser(c *importer.Certificate) (user string, by *entry, known bool) {
	v, ok := t.verdicts[c]
	if !ok {
		v.user, v.by, v.known = t.decide(c)
		t.verdicts[c] = v
	}
	return v.user, v.by, v.known
}

func (t *translation) decide(c *importer.Certificate) (user string, by *entry, known bool) {
	known = true
	passes := true
	for i := range t.roles {
		r := &t.roles[i]
		text, ok := r.source.Text(c)
		if !ok {
			return "", nil, false
		}
		found := t.lookUp(r, text)
		known = known && found.known
		passes = passes && r.passes(found.value)
		if r.isUser(t.options) {
			by, user = found.entry, found.value
			if r.what == "allow" {
				user = t.options.User
			}
		}
	}
	if !passes || !t.in.IssuedUnder(c) { // nginx verifies by ssl_client_certificate
		user = ""
	}
	return user, by, known
}

// sourceUser is Import.SourceUser.
func (t *translation) sourceUser(c *importer.Certificate) (string, bool) {
	user, _, known := t.certificateUser(c)
	return user, known
}

// isLiteral reports whether a value has no variable.
func isLiteral(value string) bool { return !strings.Contains(value, "$") }
