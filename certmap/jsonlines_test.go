package certmap_test

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
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
		{"\v{" + good + "}", "not JSON"},
		{"{" + good + "}\u00a0", "followed by something else"},
		{"\f\n{" + good + "}", "not JSON"},
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

// BenchmarkLoadLines loads JSON lines on all cores, and reports the memory of the table.
func BenchmarkLoadLines(b *testing.B) {
	n := 100_000
	if *million {
		n = 1_000_000
	}
	for _, kind := range []string{"fingerprint", "subject", "uri"} {
		data := linesOf(many(kind, n, trust.Digest{}))
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				before := heap()
				table, err := certmap.Load("users.jsonl", bytes.NewReader(data), issuerKey(trust.Digest{1}))
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(heap()-before)/float64(n), "B/mapping")
				runtime.KeepAlive(table)
			}
		})
	}
}

// linesOf returns mappings as JSON lines, those without an issuer's key with the file ca.pem.
func linesOf(mappings []certmap.Mapping) []byte {
	var out bytes.Buffer
	for _, m := range mappings {
		fmt.Fprintf(&out, `{"id": %q, "user": %q, `, m.ID, m.User)
		switch {
		case !m.Fingerprint.IsZero():
			fmt.Fprintf(&out, `"fingerprint": "%s"`, m.Fingerprint)
		case m.Subject != "":
			fmt.Fprintf(&out, `"subject": %q, "issuer": "ca.pem"`, m.Subject)
		case m.URI != "":
			fmt.Fprintf(&out, `"uri": %q, "issuer": "ca.pem"`, m.URI)
		}
		out.WriteString("}\n")
	}
	return out.Bytes()
}
