package usersfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The file of an id is part of the format: it must never change.
func TestAnIDAlwaysHasTheSameSegment(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		id   string
		n    int
		want string
	}{
		{"alice", 1, "users-0-of-1.jsonl"},
		{"alice", 16, "users-09-of-16.jsonl"},
		{"alice", 256, "users-201-of-256.jsonl"},
		{"", 256, "users-066-of-256.jsonl"},
		{"Ä b", 1024, "users-0676-of-1024.jsonl"},
	} {
		s := Split{"users", row.n}
		if got := s.Name(s.Of(row.id)); got != row.want {
			t.Errorf("%q of %d: %s, want %s", row.id, row.n, got, row.want)
		}
	}
	for mappings, want := range map[int]int{0: 1, 1: 1, 4000: 1, 4001: 2, 8001: 4, 1_000_000: 256, 1 << 40: MaxSegments} {
		if got := NewSplit("a/partner.users.yaml", mappings, 0); got != (Split{"partner.users", want}) {
			t.Errorf("%d mappings: %+v, want %d files", mappings, got, want)
		}
	}
}

func TestSplitOfReadsNames(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		names string
		want  Split
	}{
		{"", Split{}},
		{"alice.jsonl users-1.jsonl users-1-of-x.jsonl", Split{}},
		{"a/users-007-of-256.jsonl", Split{"users", 256}},
		{"users-007-of-256.jsonl mine.jsonl users-009-of-256.jsonl", Split{"users", 256}},
		{"users-007-of-256.jsonl users-07-of-16.jsonl", Split{}},
		{"users-007-of-256.jsonl other-007-of-256.jsonl", Split{}},
		{"users-0-of-0.jsonl", Split{}},
		{"users-0-of-99999.jsonl", Split{}},
	} {
		got, ok := SplitOf(strings.Fields(row.names))
		if got != row.want || ok != (row.want.N > 0) {
			t.Errorf("%q: %+v, %t, want %+v", row.names, got, ok, row.want)
		}
	}
	if got := SegmentFor("f", []string{"f/users-0-of-1.jsonl"}, "a"); got != filepath.Join("f", "users-0-of-1.jsonl") {
		t.Error(got)
	}
	if got := SegmentFor("f", []string{"f/mine.jsonl"}, "a"); got != filepath.Join("f", "added.jsonl") {
		t.Error(got)
	}
}

func TestIDsIn(t *testing.T) {
	t.Parallel()
	data := []byte("{\"id\": \"a\"}\n\n{\"user\": \"b\", \"id\": \"c\"}\nbroken\n{\"id\": \"c\"}\n")
	if got := IDsIn(data, []string{"a", "b", "c", "x"}); !slices.Equal(got, []string{"a", "c"}) {
		t.Error(got)
	}
	if got := IDsIn([]byte(`{"id": "\u0061"}`), []string{"a"}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("an escaped id: %q", got)
	}
}

// A line stays byte for byte, apart from the text of its issuer.
func TestLinesCarryMappingsOver(t *testing.T) {
	t.Parallel()
	issuer := func(text string) string { return "../" + text }
	for _, row := range []struct{ name, data, want string }{
		{"u.jsonl", `{"id":"a", "user" : "x"}`, `{"id":"a", "user" : "x"}` + "\n"},
		{"u.jsonl", " {\"issuer\" :  \"ca.pem\" , \"id\":\"a\"} \r\n", " {\"issuer\" :  \"../ca.pem\" , \"id\":\"a\"} \r\n"},
		{"u.jsonl", `{"id": "\u0061", "uri": "\"issuer\": \"x\"", "issuer": "\u0063\n.pem"}`, `{"id": "\u0061", "uri": "\"issuer\": \"x\"", "issuer": "../c\n.pem"}` + "\n"},
		{"u.yaml", "mappings:\n- {id: a, serial: 0100, issuer: &i ca.pem, ports: [p, 'q \"'], disabled: true}\n- id: b\n  # comment\n  issuer: *i\n", `{"id": "a", "serial": "0100", "issuer": "../ca.pem", "ports": ["p","q \""], "disabled": true}
{"id": "b", "issuer": "../ca.pem"}
`},
	} {
		lines, err := Lines(row.name, []byte(row.data), issuer)
		got := ""
		for _, l := range lines {
			got += string(l.Text)
		}
		if err != nil || got != row.want || lines[0].ID != "a" {
			t.Errorf("%q: %+q, %v, want %q", row.data, lines, err, row.want)
		}
	}
	for _, text := range []string{"x", "[]", "{", `{"id": "a"} x`, `{"id"`} {
		if lines, err := Lines("u.jsonl", []byte("\n"+text), issuer); err == nil || !strings.Contains(err.Error(), "u.jsonl:2") {
			t.Errorf("%q: got %q, %v; want u.jsonl:2", text, lines, err)
		}
	}
}

func TestSplitIsWrittenAsAWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "users.jsonl"), filepath.Join(dir, "users")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	lines := []Line{{"a", []byte("1\n")}, {"b", []byte("2\n")}, {"a", []byte("3\n")}}
	s := NewSplit(file, len(lines), 8)
	names := func(dir string) string {
		entries, _ := os.ReadDir(dir)
		var out []string
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return strings.Join(out, " ")
	}
	failed := errors.New("failed")
	if err := s.Write(folder, file, lines, func(string) error { return failed }); !errors.Is(err, failed) || names(dir) != "users.jsonl" {
		t.Errorf("%v, left: %s", err, names(dir))
	}
	if err := os.Mkdir(folder, 0o700); err != nil { // an empty folder is free
		t.Fatal(err)
	}
	if err := s.Write(folder, file, lines, func(temporary string) error {
		if names(folder) != "" || filepath.Dir(temporary) != dir {
			t.Errorf("%s is written while %q is checked", names(folder), temporary)
		}
		return nil
	}); err != nil || names(dir) != "users users.jsonl" {
		t.Errorf("%v, there are: %s", err, names(dir))
	}
	got := ""
	for _, id := range []string{"a", "b"} {
		data, err := os.ReadFile(filepath.Join(folder, s.Name(s.Of(id))))
		got += fmt.Sprintf("%q %v ", data, err)
	}
	if want := `"1\n3\n" <nil> "2\n" <nil> `; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	before := names(folder)
	if err := s.Write(folder, file, lines, func(string) error { return nil }); err == nil || names(folder) != before || names(dir) != "users users.jsonl" {
		t.Errorf("a full folder: %v, there are: %s", err, names(dir))
	}
}

func FuzzLines(f *testing.F) {
	f.Add("u.jsonl", []byte(`{"id": "a", "issuer": "ca.pem"}`+"\n\n{}"))
	f.Add("u.yaml", []byte("mappings:\n- &a {id: a, issuer: ca.pem}\n- *a\n"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		lines, err := Lines(name, data, func(text string) string { return text })
		if err != nil {
			return
		}
		for _, l := range lines {
			again, err := Lines("u.jsonl", l.Text, func(text string) string { return text })
			if IsJSONLines(name) && (err != nil || len(again) != 1 || again[0].ID != l.ID) {
				t.Fatalf("%q becomes %q, %v", l.Text, again, err)
			}
		}
	})
}
