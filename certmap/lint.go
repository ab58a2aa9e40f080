package certmap

import (
	"fmt"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// Lint looks through a table for what works and is probably not meant, in the order of
// the file: mappings that are over, that will be within a time, or that never
// answer because another says the same; pins that a CA can give away without
// meaning to; users whose names differ only in case. Mistakes are New's business.
func (t *Table) Lint(now time.Time, within time.Duration) []configerror.Finding {
	var out []configerror.Finding
	users := map[string]string{} // as first written, by lower case
	t.each(func(p uint32, e *entry) {
		say := func(what, hint string) {
			out = append(out, configerror.Finding{File: e.with.file, Line: int(e.line), What: "mapping " + escape.Quote(e.id(), escape.Short) + " " + what, Hint: hint})
		}
		if end := e.with.notAfter; !e.disabled && !end.IsZero() {
			switch at := end.UTC().Format(time.RFC3339); {
			case now.After(end):
				say("is over since "+at, "remove it, or set disabled: true, if the certificate is to stay nobody's")
			case now.Add(within).After(end):
				say("ends at "+at, "move not_after, or map the next certificate")
			}
		}
		if other := t.duplicate(p, e); other != nil {
			say("says the same as "+escape.Quote(other.id(), escape.Short), "one of them is enough")
		}
		if what, hint := weak(e); what != "" {
			say(what, hint)
		}
		lower := strings.ToLower(e.user())
		if known, ok := users[lower]; !ok {
			users[lower] = e.user()
		} else if known != e.user() {
			say(fmt.Sprintf("names %q, and another names %q: they are two users", e.user(), known), "write a user in one way")
		}
	})
	return out
}

// duplicate finds an earlier mapping of the same key and user that makes e
// superfluous wherever both are there.
func (t *Table) duplicate(position uint32, e *entry) *entry {
	for p := t.first(e.hash); p != 0; {
		o := t.entries.at(p - 1)
		if p-1 < position && o.is(e.kind, e.hash, []byte(e.key())) && o.user() == e.user() && o.disabled == e.disabled &&
			o.with.issuer == e.with.issuer && o.with.meets(e.with) {
			return o
		}
		p = o.nextKey
	}
	return nil
}

// weak tells what a kind of mapping leaves to others.
func weak(e *entry) (what, hint string) {
	switch e.kind {
	case bySerial:
		return "ends with the certificate: a renewal has another serial number", "uri, dns or subject survive a renewal, spki if the key is kept"
	case byEmail:
		return "trusts every check that the CA makes of an address", "uri or subject, where the CA has them"
	case bySubjectPattern:
		name := Name{e.key()}
		if rdns := name.rdns(); len(rdns) == 1 && len(rdns[0]) == 1 {
			return "takes any certificate of the CA that has nothing but this attribute", "add what the CA writes for these users only: CN={user},OU=Staff,O=Acme"
		}
	}
	if e.kind.pattern() && e.user() != UserVariable {
		return fmt.Sprintf("makes every certificate of the pattern the one user %q", e.user()), "the log tells them apart by fingerprint only"
	}
	return "", ""
}
