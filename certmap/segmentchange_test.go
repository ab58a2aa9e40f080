package certmap_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/usersload"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A change is noticed whatever it is, and only the file that it concerns is read and parsed.
func TestOneChangeReadsOneSegment(t *testing.T) {
	t.Parallel()
	s := &segments{lines: map[string][]string{}, ports: []string{"p0"}, issuers: map[string]trust.Digest{"ca.pem": {1}, "other.pem": {2}}}
	for i := range 8 {
		name := fmt.Sprintf("users/%d.jsonl", i)
		s.lines[name] = []string{fmt.Sprintf(`{"id": "a%d", "user": "u", "dns": "a%d.example", "issuer": "ca.pem"}`, i, i)}
	}
	s.lines["users/7.jsonl"][0] = `{"id": "b", "user": "u", "dns": "b.example", "issuer": "other.pem"}`
	last, err := s.load(nil)
	if err != nil || len(s.read) != 8 {
		t.Fatal(err, s.read)
	}
	reload := func(what string, want int) {
		t.Helper()
		next, err := s.load(last)
		if err != nil || len(s.read) != want {
			t.Errorf("%s: read %q, want %d files; %v", what, s.read, want, err)
		}
		if (next == last) != (want == 0) {
			t.Errorf("%s: the same table: %t", what, next == last)
		}
		last = next
	}
	reload("nothing", 0)
	s.lines["users/3.jsonl"] = []string{`{"id": "a3", "user": "v", "dns": "a3.example", "issuer": "ca.pem"}`}
	reload("a user", 1)
	if m := last.Mappings(); m[3].User != "v" {
		t.Errorf("got %+v, want user v", m[3])
	}
	s.lines["users/31.jsonl"] = []string{`{"id": "a31", "user": "v", "dns": "a3.example", "issuer": "ca.pem"}`}
	reload("a new file", 1)
	if m := last.Mappings(); len(m) != 9 || m[4].ID != "a31" {
		t.Errorf("got %+v, want 9 mappings with a31", m)
	}
	s.issuers["other.pem"] = trust.Digest{3}
	reload("another key of an issuer", 1)
	if m := last.Mappings(); m[8].Issuer != (trust.Digest{3}) {
		t.Errorf("got %+v", m[8])
	}
	s.ports = []string{"p0", "p1"}
	reload("another port", 9)
	s.lines["users/5.jsonl"] = s.lines["users/5.jsonl"][:0]
	if next, err := s.load(last); next != nil || err == nil {
		t.Errorf("an empty file gives %v, %v", next, err)
	}
	delete(s.lines, "users/5.jsonl")
	if reloaded, err := s.load(last); err != nil || len(s.read) != 0 || len(reloaded.Mappings()) != 8 {
		t.Errorf("a file that is gone: read %q, %v", s.read, err)
	}
}

// Errors between files name both.
func TestErrorsBetweenSegmentsNameBoth(t *testing.T) {
	t.Parallel()
	s := &segments{issuers: map[string]trust.Digest{"ca.pem": {1}}, ports: []string{"p0"}, lines: map[string][]string{
		"users/a.jsonl": {"", `{"id": "a", "user": "alice", "dns": "a.example", "issuer": "ca.pem"}`},
		"users/b.jsonl": {`{"id": "b", "user": "bob", "dns": "a.example", "issuer": "ca.pem"}`, `{"id": "a", "user": "alice", "dns": "x.example", "issuer": "ca.pem"}`},
		"users/c.jsonl": {`{"id": "c", "user": "c", "dns": "c.example", "issuer": "no.pem"}`},
		"users/d.jsonl": {`{"id": "d", "user": "d", "dns": "d.example", "issuer": "no.pem"}`},
	}}
	want := []string{
		`users/b.jsonl:1: mapping "b": the same dns as mapping "a" at users/a.jsonl:2, for another user: bob and alice`,
		`users/b.jsonl:2: mapping "a": the id is not unique, first at users/a.jsonl:2`,
		`users/c.jsonl:1: mapping "c": issuer: no.pem is missing`,
	}
	_, err := s.load(nil)
	all := configerror.All(err)
	if len(all) != len(want) {
		t.Fatal(err)
	}
	for i, e := range all {
		if got := e.Position() + ": " + e.What; got != want[i] {
			t.Errorf("%s, want %s", got, want[i])
		}
	}
}

// A file whose content cannot be read gives no table, even if all others are correct.
func TestUnreadableSegmentGivesNoTable(t *testing.T) {
	t.Parallel()
	line := []byte(`{"id": "a", "user": "u", "spki": "` + digest1 + `"}`)
	files := []usersload.File{
		{Name: "users/a.jsonl", Read: func() ([]byte, [sha256.Size]byte, bool) { return line, [sha256.Size]byte{}, true }},
		{Name: "users/b.jsonl", Read: func() ([]byte, [sha256.Size]byte, bool) { return nil, [sha256.Size]byte{}, false }},
	}
	if table, err := usersload.Load(nil, files, usersload.Settings{}); table != nil || err != nil {
		t.Errorf("got %v, %v", table, err)
	}
	files[1].Read = func() ([]byte, [sha256.Size]byte, bool) { return nil, [sha256.Size]byte{}, true }
	if table, err := usersload.Load(nil, files, usersload.Settings{}); table != nil || err == nil {
		t.Errorf("nil content: %v, %v", table, err)
	}
}

// BenchmarkReloadSegments reloads a folder of segments: as it is, with one mapping changed in
// one of them, and from nothing. It also reloads one file of the same lines with one of them changed.
func BenchmarkReloadSegments(b *testing.B) {
	n := 100_000
	if *million {
		n = 1_000_000
	}
	const perFile = 4000
	mappings := many("fingerprint", n, trust.Digest{})
	s := &segments{lines: map[string][]string{}, ports: []string{"p"}}
	for i := 0; i < n; i += perFile {
		s.lines[fmt.Sprintf("users/%04d.jsonl", i/perFile)] = strings.Split(strings.TrimSpace(string(linesOf(mappings[i:min(i+perFile, n)]))), "\n")
	}
	files := s.files()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s.lines)) {
		lines = append(lines, s.lines[name]...)
	}
	load := func(previous *certmap.Table) *certmap.Table {
		table, err := usersload.Load(previous, files, usersload.Settings{Ports: s.ports, Workers: 1})
		if err != nil {
			b.Fatal(err)
		}
		return table
	}
	first := load(nil)
	b.Run("nothing", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			load(first)
		}
	})
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		lines := s.lines["users/0007.jsonl"]
		for i := 0; b.Loop(); i++ {
			lines[17] = fmt.Sprintf(`{"id": "x", "user": "u", "spki": "%064x"}`, i+1)
			files[7] = s.file("users/0007.jsonl")
			load(first)
		}
	})
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			load(nil)
		}
	})
	b.Run("line", func(b *testing.B) {
		b.ReportAllocs()
		const name = "users.jsonl"
		s.lines[name] = lines
		files = []usersload.File{s.file(name)}
		first := load(nil)
		for i := 0; b.Loop(); i++ {
			lines[7*perFile] = fmt.Sprintf(`{"id": "x", "user": "u", "spki": "%064x"}`, i+1)
			b.StopTimer() // making a file of the lines is not measured
			files[0] = s.file(name)
			b.StartTimer()
			load(first)
		}
	})
}
