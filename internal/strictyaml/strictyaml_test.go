package strictyaml_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
)

const quotes = `put a value that holds any of [ ] { } : , * & @ % into quotes, such as "[::1]:8443" or "CN={user},OU=Staff"; or correct the brackets and the indentation`
const below = ". The wrong part is in that line or below"

// form is a document with one field of every kind.
type form struct {
	text   string
	texts  []string
	on     bool
	number int
	after  time.Duration
	inner  []string
}

func texts(d *strictyaml.Doc, n *yaml.Node) (out []string) {
	if n == nil {
		return nil
	}
	for _, c := range d.List(n, "texts") {
		out = append(out, d.Text(c, "texts"))
	}
	return out
}

func read(data string) (form, []*configerror.Error) {
	var wrong errorlist.List
	d := strictyaml.Doc{File: "f", Wrong: &wrong}
	root := d.Parse([]byte(data))
	if root == nil {
		return form{}, configerror.All(wrong.Err())
	}
	m := d.Map(root, "the file", "text", "texts", "on", "number", "after", "inner")
	f := form{
		text: d.Text(m["text"], "text"), texts: texts(&d, m["texts"]), on: d.Bool(m["on"], "on", true),
		number: d.Int(m["number"], "number", 1, 7), after: d.Duration(m["after"], "after", 0, time.Minute),
	}
	if m["inner"] != nil {
		for _, n := range d.List(m["inner"], "inner") {
			f.inner = append(f.inner, d.Text(d.Map(n, "an entry", "id", "user")["id"], "id"))
		}
	}
	return f, configerror.All(wrong.Err())
}

func TestValuesAreReadByTheirField(t *testing.T) {
	t.Parallel()
	otherwise := form{on: true, number: 7, after: time.Minute}
	with := func(change func(*form)) form {
		f := otherwise
		change(&f)
		return f
	}
	for data, want := range map[string]form{
		"{}":                              otherwise,
		"text: a":                         with(func(f *form) { f.text = "a" }),
		"text: 1000":                      with(func(f *form) { f.text = "1000" }),
		"text: 0x10":                      with(func(f *form) { f.text = "0x10" }),
		"text: 1e3":                       with(func(f *form) { f.text = "1e3" }),
		"text: 01:02:03":                  with(func(f *form) { f.text = "01:02:03" }),
		"text: yes":                       with(func(f *form) { f.text = "yes" }),
		"text: 2026-01-01":                with(func(f *form) { f.text = "2026-01-01" }),
		`text: "null"`:                    with(func(f *form) { f.text = "null" }),
		`text: ""`:                        otherwise,
		"texts: [a, 1]":                   with(func(f *form) { f.texts = []string{"a", "1"} }),
		"texts: []":                       otherwise,
		"on: false":                       with(func(f *form) { f.on = false }),
		"number: 12":                      with(func(f *form) { f.number = 12 }),
		"after: 0":                        with(func(f *form) { f.after = 0 }),
		"after: 250ms":                    with(func(f *form) { f.after = 250 * time.Millisecond }),
		"# comment\n---\non: true\n...\n": otherwise,
		"text: &t a\ntexts: [*t, b]":      with(func(f *form) { f.text, f.texts = "a", []string{"a", "b"} }),
		"inner: [{id: 1}, {user: x}]":     with(func(f *form) { f.inner = []string{"1", ""} }),
	} {
		got, wrong := read(data)
		if len(wrong) > 0 || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %+v, want %+v; %v", data, got, want, wrong)
		}
	}
}

// Every row has one error, which is reported once.
func TestErrorsHavePlaceAndHint(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ data, want string }{
		{"", "f: the file is empty"},
		{"# nothing\n", "f: the file is empty"},
		{"[a]", "f:1:1: the file is not a mapping (write key: value lines, indented alike)"},
		{"a", "f:1:1: the file is not a mapping (write key: value lines, indented alike)"},
		{"---\n", "f:2:1: the file is not a mapping (write key: value lines, indented alike)"},
		{"txt: a", `f:1:1: unknown key "txt" in the file (did you mean text?)`},
		{"Text: a", `f:1:1: unknown key "Text" in the file (did you mean text?)`},
		{"\ncompletely: a", `f:2:1: unknown key "completely" in the file (the keys are text, texts, on, number, after, inner)`},
		{"text:\n  a\ntext: b", `f:3:1: the file has the key "text" twice (the first is in line 1)`},
		{`"text": a` + "\ntext: b", `f:2:1: the file has the key "text" twice (the first is in line 1)`},
		{"<<: {text: a}", `f:1:1: unknown key "<<" in the file (the keys are text, texts, on, number, after, inner)`},
		{"? [a]\n: b", "f:1:3: the file has a key that is not a text (the keys are text, texts, on, number, after, inner)"},
		{"texts: [&text x]\n*text : b", "f:2:1: the file has a key that is not a text (the keys are text, texts, on, number, after, inner)"},
		{"text: [a]", "f:1:7: text is not a text"},
		{"text:", "f:1:6: text is not a text"},
		{"text: null", "f:1:7: text is not a text"},
		{"text: ~", "f:1:7: text is not a text"},
		{"texts: a", "f:1:8: texts is not a list (write [a, b], or lines that begin with a dash)"},
		{"texts: [a, [b]]", "f:1:12: texts is not a text"},
		{"texts: [a, null]", "f:1:12: texts is not a text"},
		{"on: yes", `f:1:5: on: "yes" is neither true nor false (use true or false)`},
		{"on: True", `f:1:5: on: "True" is neither true nor false (use true or false)`},
		{`on: "false"`, `f:1:5: on: "false" is neither true nor false (use true or false)`},
		{"on: 0", `f:1:5: on: "0" is neither true nor false (use true or false)`},
		{"on:", "f:1:4: on is not a text"},
		{"on: [true]", "f:1:5: on is not a text"},
		{"number: 0", `f:1:9: number: "0" is not a whole number of 1 or more (use digits only)`},
		{"number: 1.0", `f:1:9: number: "1.0" is not a whole number of 1 or more (use digits only)`},
		{"number: 0x10", `f:1:9: number: "0x10" is not a whole number of 1 or more (use digits only)`},
		{"number: 99999999999999999999", `f:1:9: number: "99999999999999999999" is not a whole number of 1 or more (use digits only)`},
		{"number: {}", "f:1:9: number is not a text"},
		{"after: 5", `f:1:8: after: "5" is not a duration (use a number with a unit: 250ms, 5s, 2m, 1h, 30d)`},
		{"after: -5s", `f:1:8: after: "-5s" is too short (use 0s or more)`},
		{"after: 9999999h", `f:1:8: after: "9999999h" is not a duration (use a number with a unit: 250ms, 5s, 2m, 1h, 30d)`},
		{"after:", "f:1:7: after is not a text"},
		{"inner: [{id: a, idd: b}]", `f:1:17: unknown key "idd" in an entry (did you mean id?)`},
		{"inner: [x]", "f:1:9: an entry is not a mapping (write key: value lines, indented alike)"},
		{"text: !!str a", `f:1:7: text has the tag "!!str" (remove the tag: a value is taken as written)`},
		{"text: !x a", `f:1:7: text has the tag "!x" (remove the tag: a value is taken as written)`},
		{"texts: [!!binary YQ==]", `f:1:9: texts has the tag "!!binary" (remove the tag: a value is taken as written)`},
		{"texts: !!seq [a]", `f:1:8: texts has the tag "!!seq" (remove the tag: a value is taken as written)`},
		{"on: !!bool true", `f:1:5: on has the tag "!!bool" (remove the tag: a value is taken as written)`},
		{"!!map {text: a}", `f:1:1: the file has the tag "!!map" (remove the tag: a value is taken as written)`},
		{"!!str text: a", `f:1:1: the file: "text" has the tag "!!str" (remove the tag: a value is taken as written)`},
		{"text: a\n---\ntext: b", "f:2: the file holds a second document (remove the --- line: one file holds one document)"},
		{"text: a\n--- {\n", "f:2: this is not YAML: did not find expected node content (" + quotes + ")"},
		{"text: a\ntexts:\n  - a\n  - b\n - c\n", "f:5: this is not YAML: did not find expected key (" + quotes + below + ")"},
		{"text: a\ninner:\n  - id: a\n    user: b\n   - id: c\n", "f:3: this is not YAML: did not find expected '-' indicator (" + quotes + below + ")"},
		{"texts: [", "f:1: this is not YAML: did not find expected node content (" + quotes + ")"},
		{"texts: [a, b\n\n", "f:1: this is not YAML: did not find expected ',' or ']' (" + quotes + below + ")"},
		{"texts: [a, b\nnumber: 1\n", "f:2: this is not YAML: did not find expected ',' or ']' (" + quotes + below + ")"},
		{"text: a\ntexts: [a,\n  b\nnumber: 1\n", "f:2: this is not YAML: did not find expected ',' or ']' (" + quotes + below + ")"},
		{"text: a\ninner:\n  - {id: \"a, user: \"b\"}\n", "f:3: this is not YAML: did not find expected ',' or '}' (" + quotes + below + ")"},
		{"text: a\ninner:\n  - id: a\n   user: b\n", "f:3: this is not YAML: did not find expected '-' indicator (" + quotes + below + ")"},
		{"text: " + strings.Repeat("a", 5) + "\n\ton: true", "f:2: this is not YAML: found a tab character that violates indentation"},
		{"texts: *nowhere", "f: this is not YAML: unknown anchor 'nowhere' referenced (" + quotes + ")"},
		{"number: " + strings.Repeat("x", 200), `f:1:9: number: "` + strings.Repeat("x", 120) + `"… is not a whole number of 1 or more (use digits only)`},
	} {
		_, wrong := read(x.data)
		if len(wrong) != 1 {
			t.Errorf("%q: %d errors, want 1: %v", x.data, len(wrong), wrong)
		} else if got := wrong[0].Error(); got != x.want {
			t.Errorf("%q:\n %s, want\n %s", x.data, got, x.want)
		}
	}
}

func TestErrorsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, wrong := read("on: yes\nnumber: 0\nafter: 5\nfoo: 1\ntexts: x\n")
	if len(wrong) != 5 {
		t.Fatalf("%d errors, want 5: %v", len(wrong), wrong)
	}
	for i, m := range wrong {
		if m.Line != i+1 || m.File != "f" {
			t.Errorf("error %d is at %s", i, m.Position())
		}
	}
}

// FuzzParse parses arbitrary text without a panic. The result is a root or errors, and each
// error is one line.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "{}", "a: &a [*a]", "&a [*a, *a]", "text: a\ntext: b", "texts: [a, [b]]", "<<: *x", "\xef\xbb\xbftext: a", "\xff\xfea\x00", "? ? ? a", "a: !!binary x", "---\n---\n", "%YAML 1.1\n---\na: 1", "inner: [{id: &x a}, *x]", "- - - -", "text: |\n  a\n b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		var wrong errorlist.List
		d := strictyaml.Doc{File: "f", Wrong: &wrong}
		root := d.Parse([]byte(data))
		if (root == nil) != (wrong.Len() > 0) {
			t.Fatalf("root %v, and %v", root, wrong.Err())
		}
		_, all := read(data)
		for _, m := range all {
			if m.File != "f" || m.Line < 0 || m.What == "" || strings.ContainsAny(m.Error(), "\n\r\x00\x1b") {
				t.Fatalf("the error is %q", m.Error())
			}
		}
		if len(all) > 0 || root == nil {
			return
		}
		// An accepted document has only known keys, each once.
		seen := map[string]bool{}
		for i := 0; i < len(root.Content); i += 2 {
			key := root.Content[i]
			if key.Kind != yaml.ScalarNode || seen[key.Value] || !strings.Contains(" text texts on number after inner ", " "+key.Value+" ") {
				t.Fatalf("%q was accepted with the key %q", data, key.Value)
			}
			seen[key.Value] = true
		}
	})
}

// For any bytes, Read returns a root or an error, and never panics.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"a: b", "", "a: &a [*a]", "a\n---\nb", "\xff", "? {a: b}\n: c", "a: !!binary \"=\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := strictyaml.Read("f", data)
		if (root == nil) != (err != nil) {
			t.Errorf("got %v, %v", root, err)
		}
		var into map[string]any
		_ = strictyaml.Decode("f", data, &into)
	})
}

// A value that needs quotes and has none has a hint about quotes, and loads with them.
func TestMissingQuotesAreInTheHint(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ before, value, after string }{
		{"listen: ", "[::1]:8443", "\n"},
		{"a: {listen: ", "[::1]:8443", "}\n"},
		{"a: {listen: ", "::1", "}\n"},
		{"x:\n  listen: ", "[2001:db8::1]:8443", "\n"},
		{"a: {subject: ", "CN={user},OU=Staff", ", x: y}\n"},
		{"subject: ", "CN=a, O=b: c", "\n"},
		{"a: ", "@b", "\n"},
		{"a: ", "*b", "\n"},
	} {
		_, err := strictyaml.Read("f", []byte(row.before+row.value+row.after))
		if all := configerror.All(err); len(all) != 1 || !strings.Contains(all[0].Hint, "quotes") {
			t.Errorf("%s: got %v, want quotes", row.value, err)
		}
		if _, err := strictyaml.Read("f", []byte(row.before+`"`+row.value+`"`+row.after)); err != nil {
			t.Errorf("%s in quotes: %v", row.value, err)
		}
	}
}
