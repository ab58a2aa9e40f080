package dn

import "testing"

// FuzzPlainValue compares the two ways of reading a value.
func FuzzPlainValue(f *testing.F) {
	for _, text := range []string{"alice,OU=x", "a b  ", "  ", "", `a\,b`, "a+b", `a"`, "x;", "#"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		plain, escaped := parser{rest: text}, parser{rest: text}
		got, ok := plain.readPlainValue()
		want, err := escaped.readEscapedValue()
		if ok && (err != nil || got != want || plain != escaped) || !ok && plain.rest != text {
			t.Errorf("%q: %q, %t and %q are left, want %q, %v and %q", text, got, ok, plain.rest, want, err, escaped.rest)
		}
	})
}
