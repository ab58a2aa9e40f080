package usersfile

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestSetDisabledChangesOneKeyAlone(t *testing.T) {
	t.Parallel()
	const head = "# é\nmappings:\n  # first\n  - {id: other, user: other, uri: \"x:o\", issuer: ca.pem}\n"
	for _, row := range []struct{ name, before, disabled string }{
		{"u.yaml", "  - {id: a, user: b, uri: \"x:é\"} # why\n", "  - {disabled: true, id: a, user: b, uri: \"x:é\"} # why\n"},
		{"u.yaml", "  - { \"id\": a, user: b}\n", "  - { disabled: true, \"id\": a, user: b}\n"},
		{"u.yaml", "  - {uri: \"é: disabled\", disabled: false, id: a}\n", "  - {uri: \"é: disabled\", disabled: true, id: a}\n"},
		{"u.yaml", "  - id: a   # é\n    # who\n    user: b\n", "  - id: a   # é\n    # who\n    disabled: true\n    user: b\n"},
		{"u.yaml", "  -\n    id: a\n    user: b\n    disabled: false # until May\n", "  -\n    id: a\n    user: b\n    disabled: true # until May\n"},
		{"u.yaml", "  - {id: a,\n     user: b}\n", "  - {disabled: true, id: a,\n     user: b}\n"},
		{"u.jsonl", `{"id": "a", "user": "b" }` + "\n", `{"id": "a", "user": "b", "disabled": true}` + "\n"},
		{"u.jsonl", `{"id": "a", "disabled":false, "user": "b"}` + "\n", `{"id": "a", "disabled":true, "user": "b"}` + "\n"},
	} {
		start := head
		if strings.HasSuffix(row.name, ".jsonl") {
			start = `{"id": "other", "user": "other"}` + "\n"
		}
		const tail = ""
		got, err := SetDisabled(row.name, []byte(start+row.before+tail), true, "a")
		if err != nil || string(got) != start+row.disabled {
			t.Errorf("%s\n%s%v", row.before, got, err)
			continue
		}
		back, err := SetDisabled(row.name, got, false, "a")
		if want := strings.NewReplacer("disabled: true", "disabled: false", `"disabled": true`, `"disabled": false`, `"disabled":true`, `"disabled":false`).Replace(start + row.disabled); err != nil || string(back) != want {
			t.Errorf("back: %s%v, want %s", back, err, want)
		}
	}
	if _, err := SetDisabled("u.yaml", []byte(head), true, "nothing"); err == nil {
		t.Error("an unknown id is no error")
	}
	for _, text := range []string{
		"  - {id: a, user: b, disabled: \"false\"}\n",
		"  - {id: a, user: b, disabled: |-\n  false}\n",
	} {
		if got, err := SetDisabled("u.yaml", []byte(head+text), true, "a"); err == nil {
			t.Errorf("edited: %s", got)
		}
	}
}

// Each row sets the end of a mapping to two dates, one after the other, and removes it again.
func TestSetChangesADate(t *testing.T) {
	t.Parallel()
	const head, line = "mappings:\n  - {id: other, user: other}\n", `{"id": "other", "user": "other"}` + "\n"
	for _, row := range []struct{ name, before, day, instant, removed string }{
		{"u.yaml", "  - {id: a, user: é} # why\n", "  - {not_after: 2027-01-31, id: a, user: é} # why\n", "  - {not_after: \"2027-01-31T12:00:00Z\", id: a, user: é} # why\n", ""},
		{"u.yaml", "  - {id: a, user: é, not_after: 2026-05-05 } # why\n", "  - {id: a, user: é, not_after: 2027-01-31 } # why\n", "  - {id: a, user: é, not_after: \"2027-01-31T12:00:00Z\" } # why\n", "  - {id: a, user: é } # why\n"},
		{"u.yaml", "  - {id: a, not_after: '2026-05-05', user: b}\n", "  - {id: a, not_after: 2027-01-31, user: b}\n", "  - {id: a, not_after: \"2027-01-31T12:00:00Z\", user: b}\n", "  - {id: a, user: b}\n"},
		{"u.yaml", "  - id: a\n    user: b\n", "  - id: a\n    not_after: 2027-01-31\n    user: b\n", "  - id: a\n    not_after: \"2027-01-31T12:00:00Z\"\n    user: b\n", ""},
		{"u.jsonl", `{"id": "a", "user": "b"}` + "\n", `{"id": "a", "user": "b", "not_after": "2027-01-31"}` + "\n", `{"id": "a", "user": "b", "not_after": "2027-01-31T12:00:00Z"}` + "\n", ""},
		{"u.jsonl", `{"not_after":"2026-05-05","id":"a","user":"b"}` + "\n", `{"not_after":"2027-01-31","id":"a","user":"b"}` + "\n", `{"not_after":"2027-01-31T12:00:00Z","id":"a","user":"b"}` + "\n", `{"id":"a","user":"b"}` + "\n"},
		{"u.jsonl", `{"id":"a","not_after":"2026-05-05","user":"b"}`, `{"id":"a","not_after":"2027-01-31","user":"b"}`, `{"id":"a","not_after":"2027-01-31T12:00:00Z","user":"b"}`, `{"id":"a","user":"b"}`},
	} {
		start := head
		if row.name == "u.jsonl" {
			start = line
		}
		if row.removed == "" {
			row.removed = row.before
		}
		data := []byte(start + row.before)
		for _, step := range []struct{ text, want string }{{"2027-01-31", row.day}, {"2027-01-31T12:00:00Z", row.instant}, {"", row.removed}, {"", row.removed}} {
			var err error
			if data, err = Set(row.name, data, []Field{{Key: "not_after", Text: step.text}}, "a"); err != nil || string(data) != start+step.want {
				t.Errorf("%q: %s%v, want %s", step.text, data, err, step.want)
				break
			}
		}
	}
	for _, text := range []string{"  - not_after: 2026-01-01\n    id: a\n", "  - {id: a,\n     not_after: &x 2026-01-01}\n", "  - {id: a, not_after: \"2026\\u002d01-01\"}\n"} {
		if got, err := Set("u.yaml", []byte("mappings:\n"+text), []Field{{Key: "not_after"}}, "a"); err == nil {
			t.Errorf("edited: %s", got)
		}
	}
}

// Whatever a file holds, an edit that succeeds leaves one that can be read, with the key as it was
// asked for.
func FuzzSet(f *testing.F) {
	f.Add("u.yaml", "mappings:\n  - {id: a, user: b, not_after: 2026-01-01}\n", "2027-01-01")
	f.Add("u.yaml", "mappings:\n- id: a\n  not_after: '2026-01-01'\n  user: é\n", "")
	f.Add("u.jsonl", `{"id":"a","not_after":"2026-01-01"}`, "")
	f.Fuzz(func(t *testing.T, name, text, date string) {
		if name != "u.jsonl" {
			name = "u.yaml"
		}
		got, err := Set(name, []byte(text), []Field{{Key: "not_after", Text: date}}, "a")
		if err != nil || name == "u.yaml" {
			return // package useredit compares what is loaded
		}
		for line := range bytes.Lines(got) {
			var m map[string]any
			if json.Unmarshal(line, &m) == nil && m["id"] == "a" && m["not_after"] != nil && date == "" && bytes.Count(line, []byte("not_after")) == 1 {
				t.Errorf("%q becomes %q", text, got)
			}
		}
		if n, m := bytes.Count([]byte(text), []byte("\n")), bytes.Count(got, []byte("\n")); n != m {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}

// An edit keeps all bytes but those that it replaces or inserts.
func FuzzSetDisabled(f *testing.F) {
	f.Add("mappings:\n  - {id: a, user: b}\n", true)
	f.Add("mappings:\n- id: a\n  disabled: true\n  user: é\n", false)
	f.Fuzz(func(t *testing.T, text string, disabled bool) {
		got, err := SetDisabled("u.yaml", []byte(text), disabled, "a")
		if err != nil {
			return
		}
		keep := func(s string) string {
			return strings.NewReplacer("disabled: true", "", "disabled: false", "", "true", "", "false", "", ", ", "", "\n", "", " ", "").Replace(s)
		}
		if keep(string(got)) != keep(text) {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
