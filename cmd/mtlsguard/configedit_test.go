package main

import (
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// applyEdits makes edits in their order, as they are pasted.
func applyEdits(text string, edits []configEdit) string {
	lines := strings.Split(text, "\n")
	for _, e := range edits {
		old := lines[e.line-1]
		line := old[:len(old)-len(strings.TrimLeft(old, " "))] + e.text
		if e.add {
			lines = slices.Insert(lines, e.line-1, line)
		} else {
			lines[e.line-1] = line
		}
	}
	return strings.Join(lines, "\n")
}

// Two lists get an element each, however they are written, and nothing else changes.
func TestTwoListsAreExtendedByEditsThatCanBePasted(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, want string }{
		{"one line", "trust: {anchors: [a.pem], crls: [a.crl]} # both", "trust: {anchors: [a.pem, b.pem], crls: [a.crl, b.crl]} # both"},
		{"one line, the other order", "trust: {crls: [a.crl], anchors: [a.pem]}", "trust: {crls: [a.crl, b.crl], anchors: [a.pem, b.pem]}"},
		{"a line each", "trust:\n  anchors: [a.pem]\n  profile: strict\n  crls: [a.crl]", "trust:\n  anchors: [a.pem, b.pem]\n  profile: strict\n  crls: [a.crl, b.crl]"},
		{"blocks", "trust:\n  anchors:\n    - a.pem\n  crls:\n    - a.crl # ours", "trust:\n  anchors:\n    - b.pem\n    - a.pem\n  crls:\n    - b.crl\n    - a.crl # ours"},
		{"a block and a line", "trust:\n  crls:\n    - a.crl\n  anchors: [\"a.pem\"]", "trust:\n  crls:\n    - b.crl\n    - a.crl\n  anchors: [\"a.pem\", b.pem]"},
		{"several lines", "trust: {anchors: [a.pem],\n  crls: [a.crl]}", "trust: {anchors: [a.pem, b.pem],\n  crls: [a.crl, b.crl]}"},
		{"a list on several lines", "trust:\n  anchors: [a.pem,\n    c.pem]\n  crls: [a.crl]", ""},
		{"one list only", "trust: {anchors: [a.pem]}", ""},
	} {
		var f struct{ Trust yaml.Node }
		if err := yaml.Unmarshal([]byte(row.text), &f); err != nil {
			t.Fatal(err)
		}
		edits := yamlLines(strings.Split(row.text, "\n")).extendBoth(&f.Trust, [2]string{"anchors", "b.pem"}, [2]string{"crls", "b.crl"})
		switch {
		case row.want == "" && edits != nil:
			t.Errorf("%s: the edits are %+v, want none", row.name, edits)
		case row.want != "" && applyEdits(row.text, edits) != row.want:
			t.Errorf("%s: the result is\n%s\nwant\n%s", row.name, applyEdits(row.text, edits), row.want)
		}
	}
}

// A value in quotes is replaced with its quotes.
func TestQuotedValueIsReplaced(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ text, want string }{
		{`m: {url: "http://a/x", file: a.crl}`, `m: {url: "URL", file: a.crl}`},
		{`m: {url: 'http://a/x', file: a.crl}`, `m: {url: "URL", file: a.crl}`},
		{`m: {url: "a\"}b", file: a.crl} # "c"`, `m: {url: "URL", file: a.crl} # "c"`},
		{`m: {url: 'it''s', file: a.crl}`, `m: {url: "URL", file: a.crl}`},
		{`m: {url: http://a/x, file: a.crl}`, `m: {url: "URL", file: a.crl}`},
		{"m: {url: \"http://\n  a\", file: a.crl}", ""},
	} {
		var f struct{ M yaml.Node }
		if err := yaml.Unmarshal([]byte(row.text), &f); err != nil {
			t.Fatal(err)
		}
		e, ok := yamlLines(strings.Split(row.text, "\n")).set(&f.M, "url", `"URL"`)
		switch {
		case ok != (row.want != ""):
			t.Errorf("%s: an edit %t", row.text, ok)
		case ok && applyEdits(row.text, []configEdit{e}) != row.want:
			t.Errorf("%s: the result is %s", row.text, applyEdits(row.text, []configEdit{e}))
		}
	}
}
