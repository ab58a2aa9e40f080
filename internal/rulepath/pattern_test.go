package rulepath_test

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/rulepath"
)

func TestPathPatternsMatchAsRulesDo(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		pattern, path, user string
		want                bool
	}{
		{"/*", "/", "alice", true}, {"/*", "/a/b", "alice", true}, {"/*", "*", "alice", false}, {"*", "*", "alice", true}, {"*", "/a", "alice", false},
		{"/a/*", "/a/", "alice", true}, {"/a/*", "/a/b/c", "alice", true}, {"/a/*", "/a", "alice", false}, {"/a/*", "/ab", "alice", false},
		{"/a/{id}", "/a/1", "alice", true}, {"/a/{id}", "/a/", "alice", false}, {"/a/{id}", "/a/1/2", "alice", false},
		{"/u/{user}", "/u/alice", "alice", true}, {"/u/{user}", "/u/bob", "alice", false}, {"/u/{user}", "/u/Default", "Default", false},
		{"/a", "", "alice", false}, {"/a", "a", "alice", false},
	} {
		p, err := rulepath.Parse(row.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Matches(row.path, row.user); got != row.want {
			t.Errorf("%s matches %s of %s: %t, want %t", row.pattern, row.path, row.user, got, row.want)
		}
	}
	if (rulepath.Pattern{}).Matches("/", "alice") {
		t.Error("the zero value matches")
	}
	if _, err := rulepath.Parse("a"); err == nil {
		t.Error("no error for a path without a slash")
	}
}

func TestPathPatternsOverlap(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		a, b string
		want bool
	}{
		{"/*", "/a/b", true}, {"/a", "/a", true}, {"/a", "/b", false}, {"/a/*", "/a", false}, {"/a/*", "/{x}/b", true}, {"/a/{x}", "/{y}/b", true},
		{"/a/{x}", "/a/", false}, {"/a/{user}/c", "/a/b/*", true}, {"/a/b", "/a/b/c", false}, {"*", "/*", false}, {"*", "*", true}, {"/a/*", "/b/*", false},
	} {
		a, errA := rulepath.Parse(row.a)
		b, errB := rulepath.Parse(row.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if a.Overlaps(b) != row.want || b.Overlaps(a) != row.want {
			t.Errorf("%s overlaps %s: %t and %t, want %t", row.a, row.b, a.Overlaps(b), b.Overlaps(a), row.want)
		}
	}
}
