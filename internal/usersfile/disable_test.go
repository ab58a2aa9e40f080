package usersfile

import (
	"strings"
	"testing"
)

// Covers O2.
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
		{"u.jsonl", `{"id": "a", "disabled":false, "user": "b"}` + "\n", `{"id": "a", "disabled": true, "user": "b"}` + "\n"},
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
		if want := strings.NewReplacer("disabled: true", "disabled: false", `"disabled": true`, `"disabled": false`).Replace(start + row.disabled); err != nil || string(back) != want {
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
