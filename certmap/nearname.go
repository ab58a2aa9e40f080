package certmap

import (
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// nearSubject compares a mapping's subject with the certificate's.
func (c *certificate) nearSubject(wanted dn.Name) string {
	if c.subjectErr != nil {
		return ""
	}
	return compareNames(wanted.RDNs(), c.subject.RDNs())
}

// nearSubjectPattern compares a pattern with the certificate's subject. The certificate's
// value of the captured type takes the place of the captured one.
func (c *certificate) nearSubjectPattern(wanted dn.Name) string {
	if c.subjectErr != nil {
		return ""
	}
	w, g := wanted.RDNs(), c.subject.RDNs()
	oid := placeOf(bySubjectPattern, wanted.Key()).oid
	value, n := valueOf(g, oid)
	switch {
	case n == 0:
		return ""
	case n > 1:
		if len(w) == len(g) || containsOthers(g, w, oid) {
			return errCapturedTwice.Error() + " in the certificate"
		}
		return ""
	}
	replacePlaceholder(w, value)
	if equalRDNs(w, g) {
		return escape.Quote(value, escape.Short) + " cannot be a user name"
	}
	return compareNames(w, g)
}

// compareNames returns the small difference between two names, or "".
func compareNames(wanted, got [][]dn.Attribute) string {
	switch {
	case equalRDNs(wanted, reversed(got)):
		return "the same attributes in the reverse order: RFC 4514 begins with the most specific, which is last in the certificate"
	case equalRDNs(flatten(wanted), flatten(got)):
		return "the same attributes in another order, or joined by + otherwise"
	case equalRDNs(lowerCase(wanted), lowerCase(got)):
		return "differs in case"
	case equalRDNs(lowerCase(withoutBlanks(wanted)), lowerCase(withoutBlanks(got))):
		return "differs in blanks"
	}
	return missingAttribute(wanted, got)
}

// missingAttribute returns the one attribute that only one of two names has, or "".
func missingAttribute(wanted, got [][]dn.Attribute) string {
	long, short, side := flatten(wanted), flatten(got), "the certificate lacks "
	if len(long) < len(short) {
		long, short, side = short, long, "the mapping lacks "
	}
	if len(long) != len(short)+1 || len(short) == 0 {
		return ""
	}
	for i := range long {
		if equalRDNs(slices.Concat(long[:i], long[i+1:]), short) {
			return side + escape.Quote(long[i][0].String(), escape.Short)
		}
	}
	return ""
}

// valueOf returns the last value of a type, and how many values there are.
func valueOf(rdns [][]dn.Attribute, oid string) (value string, n int) {
	for _, a := range slices.Concat(rdns...) {
		if a.OID == oid {
			value = a.Value
			n++
		}
	}
	return value, n
}

// containsOthers reports whether g has every attribute of w that is not of type oid.
func containsOthers(g, w [][]dn.Attribute, oid string) bool {
	all := slices.Concat(g...)
	for _, a := range slices.Concat(w...) {
		if a.OID != oid && !slices.Contains(all, a) {
			return false
		}
	}
	return true
}

func replacePlaceholder(rdns [][]dn.Attribute, value string) {
	for _, set := range rdns {
		for i := range set {
			if set[i].Value == dn.Placeholder {
				set[i].Value = value
			}
		}
	}
}

func equalRDNs(a, b [][]dn.Attribute) bool {
	return slices.EqualFunc(a, b, slices.Equal[[]dn.Attribute])
}

func reversed(rdns [][]dn.Attribute) [][]dn.Attribute {
	out := slices.Clone(rdns)
	slices.Reverse(out)
	return out
}

// flatten returns every attribute as an RDN of its own, sorted.
func flatten(rdns [][]dn.Attribute) [][]dn.Attribute {
	all := slices.Concat(rdns...)
	slices.SortFunc(all, func(a, b dn.Attribute) int {
		if c := strings.Compare(a.OID, b.OID); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	out := make([][]dn.Attribute, len(all))
	for i := range all {
		out[i] = all[i : i+1]
	}
	return out
}

func lowerCase(rdns [][]dn.Attribute) [][]dn.Attribute { return mapValues(rdns, strings.ToLower) }

func withoutBlanks(rdns [][]dn.Attribute) [][]dn.Attribute { return mapValues(rdns, stripBlanks) }

func mapValues(rdns [][]dn.Attribute, change func(string) string) [][]dn.Attribute {
	out := make([][]dn.Attribute, len(rdns))
	for i, set := range rdns {
		for _, a := range set {
			out[i] = append(out[i], dn.Attribute{OID: a.OID, Value: change(a.Value)})
		}
	}
	return out
}
