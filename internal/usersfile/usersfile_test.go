package usersfile

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/trust"
)

var bob = []Field{{Key: "id", Text: "bob"}, {Key: "user", Text: "bob"}, {Key: "subject", Text: `CN=b "o" b,O=Acme`}, {Key: "issuer", Text: "ca.pem"}, {Key: "ports", List: []string{"a", "b c"}}}

const bobLine = `- {id: bob, user: bob, subject: "CN=b \"o\" b,O=Acme", issuer: ca.pem, ports: [a, "b c"]}` + "\n"

func TestRemoveUndoesAdd(t *testing.T) {
	t.Parallel()
	const alice = `- {id: alice, user: alice, uri: "x:a", issuer: ca.pem}` + "\n"
	for _, row := range []struct{ name, before, added string }{
		{"after the last", "mappings:\n  " + alice, "mappings:\n  " + alice + "  " + bobLine},
		{"without indentation", "mappings:\n" + alice, "mappings:\n" + alice + bobLine},
		{"comments stay", "# a\nmappings: # b\n  # c\n  " + alice + "\n  # d\n", "# a\nmappings: # b\n  # c\n  " + alice + "  " + bobLine + "\n  # d\n"},
		{"without a last line end", "mappings:\n  " + strings.TrimSpace(alice), "mappings:\n  " + alice + "  " + bobLine},
		{"an empty list", "mappings: [] # empty\n", "mappings: # empty\n  " + bobLine},
		{"no value", "mappings:\n", "mappings:\n  " + bobLine},
		{"several lines each", "mappings:\n  - id: alice\n    user: alice\n    uri: x:a # why\n\n  -\n    id: carol\n    ports:\n      - p\n      - q\n# end\n",
			"mappings:\n  - id: alice\n    user: alice\n    uri: x:a # why\n\n  -\n    id: carol\n    ports:\n      - p\n      - q\n  " + bobLine + "# end\n"},
	} {
		got, err := Add("users.yaml", []byte(row.before), bob)
		if err != nil || string(got) != row.added {
			t.Errorf("%s: %v\n%s\nwant\n%s", row.name, err, got, row.added)
			continue
		}
		back, err := Remove("users.yaml", got, "bob")
		want := row.before
		switch row.name {
		case "without a last line end":
			want += "\n"
		case "no value":
			want = "mappings: []\n"
		case "an empty list":
			want = "mappings: [] # empty\n"
		}
		if err != nil || string(back) != want {
			t.Errorf("%s, and back: %v\n%s\nwant\n%s", row.name, err, back, want)
		}
	}
}

func TestFilesOfOtherFormsAreNotEdited(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "mappings: [{id: a}]\n", "mappings: {a: b}\n", "other: x\n", "- a\n", "a: b: c\n", "mappings: []\n---\nmappings: []\n", "mappings:\n  []\n"} {
		if got, err := Add("users.yaml", []byte(text), bob); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
	if _, err := Remove("users.yaml", []byte("mappings:\n- {id: a}\n"), "a", "b"); err == nil {
		t.Error("an unknown id was removed")
	}
}

func TestJSONLinesAreEdited(t *testing.T) {
	t.Parallel()
	got, err := Add("users.jsonl", []byte(`{"id": "a"}`), bob)
	if err != nil || string(got) != `{"id": "a"}`+"\n"+`{"id": "bob", "user": "bob", "subject": "CN=b \"o\" b,O=Acme", "issuer": "ca.pem", "ports": ["a","b c"]}`+"\n" {
		t.Errorf("got %s, %v", got, err)
	}
	got, err = Remove("users.jsonl", got, "a")
	if err != nil || strings.Contains(string(got), `"a"}`) {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err = Remove("users.jsonl", got, "a"); err == nil {
		t.Error("removed twice")
	}
}

func TestWriteKeepsModeAndLinkAndChecksTheOldContent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real, link := filepath.Join(dir, "data", "users.yaml"), filepath.Join(dir, "users.yaml")
	for _, err := range []error{os.Mkdir(filepath.Join(dir, "data"), 0o700), os.WriteFile(real, []byte("old"), 0o640), os.Symlink(real, link)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(link, []byte("other"), []byte("new")); err == nil {
		t.Error("a changed file was overwritten")
	}
	if err := Write(link, []byte("old"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(real)
	info, statErr := os.Stat(real)
	if err != nil || statErr != nil || string(data) != "new" || info.Mode().Perm() != 0o640 {
		t.Errorf("got %s, %v, %v, %v; want new with mode 640", data, info.Mode(), err, statErr)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "data")); len(left) != 1 {
		t.Errorf("%v is left", left)
	}
}

// If the result of Add loads, it has exactly the new mapping in addition.
func FuzzAdd(f *testing.F) {
	f.Add("mappings:\n  - {id: alice, user: alice, uri: \"x:a\", issuer: ca.pem}\n", "bob", "x:b")
	f.Add("mappings: []\n", "bob", "x: b # c")
	f.Add("mappings:\n  - id: a\n    user: b\n    uri: |\n      x:a\n    issuer: ca.pem\n", "{user}", "\x00")
	load := func(data []byte) ([]certmap.Mapping, error) {
		t, err := certmap.Load("users.yaml", bytes.NewReader(data), certmap.WithIssuers(func(string) (trust.Digest, error) { return trust.Digest{1}, nil }))
		if err != nil {
			return nil, err
		}
		return t.Mappings(), nil
	}
	f.Fuzz(func(t *testing.T, text, user, uri string) {
		before, err := load([]byte(text))
		if err != nil {
			return
		}
		next, err := Add("users.yaml", []byte(text), []Field{{Key: "id", Text: "new-one"}, {Key: "user", Text: user}, {Key: "uri", Text: uri}, {Key: "issuer", Text: "ca.pem"}})
		if err != nil {
			return
		}
		after, err := load(next)
		if err != nil {
			return // the command does not write it
		}
		// The command rejects other changes. Here the new mapping itself is checked.
		if len(after) == len(before)+1 {
			if last := after[len(after)-1]; last.ID == "new-one" && (last.User != user || last.URI != uri) {
				t.Errorf("%q %q became %q %q", user, uri, last.User, last.URI)
			}
		}
	})
}

// YAML reads a quoted scalar back unchanged.
func FuzzScalar(f *testing.F) {
	for _, text := range []string{"", "null", "1", "a: b", "#", "\u202e", "{user}", "\xff", "'", `"`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got []string
		if err := yaml.Unmarshal([]byte("["+Quote(text)+"]"), &got); err != nil {
			if strings.ToValidUTF8(text, "") == text && !strings.ContainsAny(text, "\x00\x7f") {
				t.Logf("%q is rejected: %v", text, err) // users.yaml is rejected too
			}
			return
		}
		if len(got) != 1 || got[0] != text && strings.ToValidUTF8(text, "") == text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
