package e2e

import (
	"fmt"
	"os"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A change in one file of a folder of users, a new file and a deleted one take effect by
// themselves. A conflict between two files leaves the last good state in effect.
func TestFolderOfUsersIsWatched(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	if err := os.Mkdir(s.path("users"), 0o700); err != nil {
		t.Fatal(err)
	}
	line := func(id, user string) string {
		return fmt.Sprintf(`{"id": %q, "user": %q, "fingerprint": "%s"}`+"\n", id, user, trust.FingerprintOf(s.alice.Cert))
	}
	s.put("users/a.jsonl", line("alice", "alice"))
	s.put("users/b.jsonl", `{"id": "other", "user": "other", "fingerprint": "`+trust.FingerprintOf(s.ca.Cert).String()+"\"}\n")
	s.sub(config, "users: users.yaml", "users: users")
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	answer := func() string { return get(alice, l.url("internal", "/whoami")) }
	l.waitFor("the first mapping", answer, "200 alice")

	s.put("users/a.jsonl", line("alice", "alicia"))
	l.waitFor("the changed file", answer, "200 alicia")

	s.put("users/c.jsonl", line("again", "bob"))
	testkit.Eventually(t, "the conflict to be logged", func() bool {
		return len(l.log.find("event", "reload", "outcome", "failed")) > 0
	})
	if got := answer(); got != "200 alicia" {
		t.Errorf("with a conflict: %s, want 200 alicia", got)
	}
	if err := os.Remove(s.path("users/a.jsonl")); err != nil {
		t.Fatal(err)
	}
	l.waitFor("the new file", answer, "200 bob")
	if err := os.Remove(s.path("users/c.jsonl")); err != nil {
		t.Fatal(err)
	}
	l.waitFor("no file with the mapping", answer, "403 unmapped")
}
