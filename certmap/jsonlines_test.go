package certmap_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Both formats have the same rules.
func TestJSONLinesAndYAMLGiveTheSameMappings(t *testing.T) {
	t.Parallel()
	fp := strings.Repeat("ab", 32)
	lines := `{"id": "a", "user": "alice", "fingerprint": "` + fp + `"}

{"id": "b", "user": "bob", "serial": 1000, "issuer": "ca.pem", "ports": ["p"], "disabled": true}
{"id": "c", "user": "{user}", "subject": "CN={user},O=Acme", "issuer": "ca.pem", "not_before": "2026-01-01"}
`
	text := `mappings:
  - {id: a, user: alice, fingerprint: ` + fp + `}

  - {id: b, user: bob, serial: 1000, issuer: ca.pem, ports: [p], disabled: true}
  - {id: c, user: "{user}", subject: "CN={user},O=Acme", issuer: ca.pem, not_before: 2026-01-01}
`
	fromLines, err := load("users.jsonl", lines, issuerKey(trust.Digest{1}), certmap.WithPorts("p"))
	if err != nil {
		t.Fatal(err)
	}
	fromYAML, err := load("users.yaml", text, issuerKey(trust.Digest{1}), certmap.WithPorts("p"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range fromYAML {
		fromYAML[i].File, fromYAML[i].Line = "users.jsonl", fromYAML[i].Line-1
	}
	if !reflect.DeepEqual(fromLines, fromYAML) {
		t.Errorf("lines %+v\nYAML  %+v", fromLines, fromYAML)
	}
}

func TestJSONLinesErrorsHaveTheirLine(t *testing.T) {
	t.Parallel()
	good := `"id": "a", "user": "alice", "fingerprint": "` + strings.Repeat("ab", 32) + `"`
	for _, row := range []struct{ text, want string }{
		{"", "the file is empty"},
		{"\n \n", "the file is empty"},
		{"mappings: []", "not JSON"},
		{"[]", "not a JSON object"},
		{`"x"`, "not a JSON object"},
		{"{" + good, "not JSON"},
		{"{" + good + "} {}", "followed by something else"},
		{"{" + good + "} x", "followed by something else"},
		{"{" + good + `, "id": "b"}`, `has the key "id" twice`},
		{"{" + good + `, "nodes": "b"}`, `unknown key "nodes"`},
		{"{" + good + `, "ports": [["p"]]}`, "not a JSON object of texts"},
		{"{" + good + `, "ports": {"p": 1}}`, "not a JSON object of texts"},
		{"{" + good + `, "disabled": "true"}`, `disabled: "true" is neither`},
		{"{" + good + `, "not_after": null}`, "not_after is not a text"},
		{"{" + good + `, "ports": ["q"]}`, `no port "q"`},
		{"{" + good + "}\n{" + good + "}", "the id is not unique"},
		{`{"id": "a", "user": "Default", "spki": "` + strings.Repeat("ab", 32) + `"}`, "reserved"},
	} {
		_, err := load("users.jsonl", row.text, issuerKey(trust.Digest{1}), certmap.WithPorts("p"))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q: %v, want %q", row.text, err, row.want)
		}
		for _, m := range configerror.All(err) {
			if m.File != "users.jsonl" || m.Line < 1 {
				t.Errorf("%q: the error is at %s", row.text, m.Position())
			}
		}
	}
	_, err := load("users.jsonl", "{"+good+"}\n\nx\n", issuerKey(trust.Digest{1}))
	if found := configerror.All(err); len(found) != 1 || found[0].Line != 3 {
		t.Errorf("the line of an error: %v", err)
	}
}

func FuzzReadLines(f *testing.F) {
	f.Add([]byte(`{"id": "a", "user": "alice", "serial": 1000, "issuer": "ca.pem", "ports": ["p"], "disabled": true}` + "\n\n{}"))
	f.Add([]byte(`{"id": "a", "id": 1, "user": null, "uri": "\ud800"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		mappings, err := load("users.jsonl", string(data), issuerKey(trust.Digest{1}), certmap.WithPorts("p"))
		if (err == nil) != (len(mappings) > 0) {
			t.Errorf("%d mappings and %v", len(mappings), err)
		}
		if err != nil && len(configerror.All(err)) == 0 {
			t.Errorf("an error of another type: %v", err)
		}
	})
}

func BenchmarkReadTableLines(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var text strings.Builder
			for i := range n {
				fmt.Fprintf(&text, "{\"id\": \"m%d\", \"user\": \"u%d\", \"fingerprint\": \"%064x\"}\n", i, i, i+1)
			}
			data := []byte(text.String())
			for b.Loop() {
				if table, err := certmap.Load("users.jsonl", bytes.NewReader(data), nil); err != nil || len(table.Mappings()) != n {
					b.Fatal(err)
				}
			}
		})
	}
}
