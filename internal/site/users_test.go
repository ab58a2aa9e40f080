package site

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
)

func segmentLine(id, user string, n int) string {
	return fmt.Sprintf("{\"id\": %q, \"user\": %q, \"spki\": \"%064x\"}\n", id, user, n)
}

// newSegmentedSite is a site whose users are a folder of three segments.
func newSegmentedSite(t *testing.T) *testSite {
	s := newTestSite(t, 2)
	s.sub("mtlsguard.yaml", "users: users.yaml", "users: users")
	if err := os.Mkdir(s.path("users"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s.put(fmt.Sprintf("users/%d.jsonl", i), segmentLine(fmt.Sprint("a", i), "alice", i+1))
	}
	return s
}

func (s *testSite) fails(previous *Generation, want string) {
	s.Helper()
	g, err := Load(context.Background(), s.path("mtlsguard.yaml"), fileset.New(nil), previous, nil, Program{})
	if g != nil || err == nil || !strings.Contains(err.Error(), want) {
		s.Errorf("%v, want an error with %q", err, want)
	}
}

func ids(g *Generation) string {
	var out []string
	for _, m := range g.Table.Mappings() {
		out = append(out, m.ID)
	}
	return strings.Join(out, " ")
}

// Users may be a folder. Unchanged files in it are not parsed again, and a reload with nothing new
// keeps the table itself: answers that connections have cached stay valid.
func TestUsersMayBeAFolder(t *testing.T) {
	t.Parallel()
	s := newSegmentedSite(t)
	s.put("users/.hidden.jsonl", "not a mapping")
	s.put("users/notes.txt", "not a mapping")
	if err := os.Mkdir(s.path("users/folder.jsonl"), 0o700); err != nil {
		t.Fatal(err)
	}
	first := s.load(nil)
	if got := ids(first); got != "a0 a1 a2" || first.Parsed["users"] != 3 {
		t.Errorf("%s, %d files parsed", got, first.Parsed["users"])
	}
	second := s.load(first)
	if second.Table != first.Table || second.Parsed["users"] != 0 {
		t.Errorf("another table, %d files parsed", second.Parsed["users"])
	}
	if second.Files.Changed() {
		t.Error("a change is noticed without one")
	}
	s.put("users/3.jsonl", segmentLine("c3", "carol", 9))
	if !second.Files.Changed() {
		t.Error("a new file is not noticed")
	}
	s.put("users/1.jsonl", segmentLine("b1", "bob", 2))
	third := s.load(second)
	if got := ids(third); got != "a0 b1 a2 c3" || third.Parsed["users"] != 2 {
		t.Errorf("%s, %d files parsed", got, third.Parsed["users"])
	}
	if got := ids(first); got != "a0 a1 a2" {
		t.Errorf("the first table has changed: %s, want a0 a1 a2", got)
	}
	s.sub("mtlsguard.yaml", "name: p1", "name: other")
	if g := s.load(third); g.Parsed["users"] != 4 {
		t.Errorf("another port: %d files parsed", g.Parsed["users"])
	}
	if err := os.Remove(s.path("users/3.jsonl")); err != nil {
		t.Fatal(err)
	}
	s.sub("mtlsguard.yaml", "name: other", "name: p1")
	if g := s.load(third); ids(g) != "a0 b1 a2" || g.Parsed["users"] != 0 {
		t.Errorf("without a file: %s, %d files parsed", ids(g), g.Parsed["users"])
	}
}

// One wrong segment fails the whole load.
func TestAWrongSegmentFailsTheLoad(t *testing.T) {
	t.Parallel()
	s := newSegmentedSite(t)
	g := s.load(nil)
	for _, row := range []struct{ content, want string }{
		{"", "has become empty"},
		{"{", "users/1.jsonl:1"},
		{"-----BEGIN X-----", "holds a certificate or a key"},
		{segmentLine("a0", "alice", 7), "the id is not unique, first at " + s.path("users/0.jsonl") + ":1"},
		{segmentLine("a1", "bob", 1), `for another user: bob and alice`},
		{`{"id": "a1", "user": "bob", "dns": "a", "issuer": "no.pem"}`, s.path("users/no.pem")},
	} {
		s.put("users/1.jsonl", row.content)
		s.fails(g, row.want)
		if row.content != "" {
			s.fails(nil, row.want)
		}
	}
	for i := range 3 {
		if err := os.Remove(s.path(fmt.Sprintf("users/%d.jsonl", i))); err != nil {
			t.Fatal(err)
		}
	}
	s.fails(nil, "holds no file whose name ends in .jsonl")
	s.fails(g, "holds no file whose name ends in .jsonl")
}

// The issuer of a segment is a file beside the segment, and its content is part of what a kept
// segment depends on.
func TestAnotherIssuerIsNoticed(t *testing.T) {
	t.Parallel()
	s := newSegmentedSite(t)
	s.put("users/1.jsonl", `{"id": "a1", "user": "bob", "dns": "a", "issuer": "../issuer.pem"}`)
	s.put("issuer.pem", string(s.clientCA.CertPEM()))
	g := s.load(nil)
	s.put("issuer.pem", string(s.otherCA.CertPEM()))
	next := s.load(g)
	if a, b := g.Table.Mappings()[1].Issuer, next.Table.Mappings()[1].Issuer; a == b || next.Parsed["users"] != 1 {
		t.Errorf("the issuer is %s, was %s; %d files parsed", b, a, next.Parsed["users"])
	}
}
