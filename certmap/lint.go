package certmap

import (
	"fmt"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Lint returns findings about a valid table, in its order: mappings that have ended or end
// within a time, that duplicate another, or whose kind depends on the care of the CA; and
// users whose names differ only in case.
func (t *Table) Lint(now time.Time, within time.Duration) []configerror.Finding {
	if t == nil {
		return nil
	}
	var out []configerror.Finding
	users := map[string]string{} // as first written, by lower case
	for r, e := range t.all() {
		find := func(what, hint string) {
			out = append(out, configerror.Finding{File: e.terms.file, Line: int(e.line), What: "mapping " + escape.Quote(e.id(), escape.Short) + " " + what, Hint: hint})
		}
		if end := e.terms.notAfter; !e.disabled && !end.IsZero() {
			switch at := end.UTC().Format(time.RFC3339); {
			case now.After(end):
				find("ended at "+at, "remove it, or set disabled: true to keep refusing the certificate")
			case now.Add(within).After(end):
				find("ends at "+at, "move not_after, or map the next certificate")
			}
		}
		if other := t.findDuplicate(r, e); other != nil {
			find("duplicates "+escape.Quote(other.id(), escape.Short), "remove one of them")
		}
		if other := t.findOverridden(r, e); other != nil {
			find("overrides "+escape.Quote(other.id(), escape.Short)+", which is disabled: the certificate gets a user all the same", "disable it too, or remove the disabled mapping")
		}
		if what, hint := weakness(e); what != "" {
			find(what, hint)
		}
		lower := strings.ToLower(e.user())
		if known, ok := users[lower]; !ok {
			users[lower] = e.user()
		} else if known != e.user() {
			find(fmt.Sprintf("names %q, and another names %q: they are two users", e.user(), known), "write a user in one way")
		}
	}
	return out
}

// findDuplicate returns the first mapping before e with the same key and user, which makes e
// superfluous, or nil.
func (t *Table) findDuplicate(at ref, e *entry) *entry {
	return t.firstOfKey(e, func(r ref, o *entry) bool {
		return t.compareRefs(r, at) < 0 && o.user() == e.user() && o.disabled == e.disabled
	})
}

// findOverridden returns the first disabled mapping of the same key that the mapping e makes
// ineffective, or nil.
func (t *Table) findOverridden(at ref, e *entry) *entry {
	if e.disabled {
		return nil
	}
	return t.firstOfKey(e, func(r ref, o *entry) bool { return r != at && o.disabled })
}

// firstOfKey returns the first mapping that is for the same certificates as e, on a common
// port at a common time, and for which the condition holds, or nil.
func (t *Table) firstOfKey(e *entry, condition func(ref, *entry) bool) *entry {
	var first ref
	for s := t.byKey.Search(hashText(e.kind, e.key())); s.Next(); {
		o := t.at(s.Ref)
		if o.isFor(e.kind, e.key()) && o.terms.issuer == e.terms.issuer && o.terms.overlap(e.terms) && condition(s.Ref, &o) &&
			(first == 0 || t.compareRefs(s.Ref, first) < 0) {
			first = s.Ref
		}
	}
	if first == 0 {
		return nil
	}
	o := t.at(first)
	return &o
}

// weakness returns what a kind of mapping leaves to the care of others, or "".
func weakness(e *entry) (what, hint string) {
	switch e.kind {
	case bySerial:
		return "ends with the certificate: a renewal has another serial number", "uri, dns or subject survive a renewal, spki if the key is kept"
	case byEmail:
		return "is as safe as the CA's checks of addresses", "uri or subject, where the CA has them"
	case bySubjectPattern:
		if rdns := dn.FromKey(e.key()).RDNs(); len(rdns) == 1 && len(rdns[0]) == 1 {
			return "matches every certificate of the CA that has only this attribute", "add attributes that the CA writes for these users only: CN={user},OU=Staff,O=Acme"
		}
	}
	if e.kind.isPattern() && e.user() != username.Variable {
		return fmt.Sprintf("gives every certificate of the pattern to the one user %q", e.user()), "the log distinguishes them by fingerprint only"
	}
	return "", ""
}
