package certmap

import (
	"slices"
	"strings"
	"unicode"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// bare is text without blanks and without what does not show.
func bare(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// nearName compares a mapping's subject with the certificate's. In a pattern, the
// captured value stands for whatever the certificate has of that type.
func (f *facts) nearName(wanted Name, pattern bool) string {
	if f.nameErr != nil {
		return ""
	}
	w, g := wanted.rdns(), f.name.rdns()
	if pattern {
		oid := placeOf(bySubjectPattern, wanted.canon).oid
		value, n := valueOf(g, oid)
		switch {
		case n == 0:
			return ""
		case n > 1:
			if len(w) == len(g) || sharesAll(w, g, oid) {
				return errTwice.Error() + " in the certificate"
			}
			return ""
		}
		fill(w, value)
		if equal(w, g) {
			return escape.Quote(value, escape.Short) + " cannot be a user name"
		}
	}
	switch {
	case equal(w, reversed(g)):
		return "the same attributes in the reverse order: RFC 4514 begins with the most specific, which stands last in the certificate"
	case equal(flat(w), flat(g)):
		return "the same attributes in another order, or joined by + otherwise"
	case equal(folded(w), folded(g)):
		return "differs in case"
	case equal(folded(blankless(w)), folded(blankless(g))):
		return "differs in blanks"
	}
	return lacking(w, g)
}

// lacking tells of a name that has one attribute more or less.
func lacking(w, g [][]attribute) string {
	long, short, who := flat(w), flat(g), "the certificate lacks "
	if len(long) < len(short) {
		long, short, who = short, long, "the mapping lacks "
	}
	if len(long) != len(short)+1 || len(short) == 0 {
		return ""
	}
	for i := range long {
		if equal(slices.Concat(long[:i], long[i+1:]), short) {
			var b strings.Builder
			writeAttribute(&b, long[i][0].oid, long[i][0].value)
			return who + escape.Quote(b.String(), escape.Short)
		}
	}
	return ""
}

func valueOf(rdns [][]attribute, oid string) (value string, n int) {
	for _, set := range rdns {
		for _, a := range set {
			if a.oid == oid {
				value = a.value
				n++
			}
		}
	}
	return value, n
}

// sharesAll reports whether every other attribute of w is among g's.
func sharesAll(w, g [][]attribute, oid string) bool {
	all := slices.Concat(g...)
	for _, a := range slices.Concat(w...) {
		if a.oid != oid && !slices.Contains(all, a) {
			return false
		}
	}
	return true
}

func fill(rdns [][]attribute, value string) {
	for _, set := range rdns {
		for i := range set {
			if set[i].value == captured {
				set[i].value = value
			}
		}
	}
}

func equal(a, b [][]attribute) bool {
	return slices.EqualFunc(a, b, slices.Equal[[]attribute])
}

func reversed(rdns [][]attribute) [][]attribute {
	out := slices.Clone(rdns)
	slices.Reverse(out)
	return out
}

// flat is every attribute as an RDN of its own, sorted.
func flat(rdns [][]attribute) [][]attribute {
	var out [][]attribute
	for _, a := range slices.Concat(rdns...) {
		out = append(out, []attribute{a})
	}
	slices.SortFunc(out, func(a, b []attribute) int {
		if c := strings.Compare(a[0].oid, b[0].oid); c != 0 {
			return c
		}
		return strings.Compare(a[0].value, b[0].value)
	})
	return out
}

func folded(rdns [][]attribute) [][]attribute { return mapped(rdns, strings.ToLower) }

func blankless(rdns [][]attribute) [][]attribute { return mapped(rdns, bare) }

func mapped(rdns [][]attribute, do func(string) string) [][]attribute {
	out := make([][]attribute, len(rdns))
	for i, set := range rdns {
		for _, a := range set {
			out[i] = append(out[i], attribute{a.oid, do(a.value)})
		}
	}
	return out
}
