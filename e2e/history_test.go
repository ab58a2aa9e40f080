package e2e

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/trust"
)

// names returns the names of changed files.
func namesOf(changes []mtlsguard.FileChange) (out []string) {
	for _, c := range changes {
		out = append(out, c.Name)
	}
	return out
}

// History has each generation with the files that changed, and the last reload that failed.
func TestHistoryOfGenerations(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.start(mtlsguard.Options{})
	reload := func(want bool) {
		t.Helper()
		if err := l.server.Reload(); (err == nil) != want {
			t.Fatal(err)
		}
	}
	h := l.server.History()
	if len(h.Generations) != 1 || h.Generations[0].Number != 1 || h.Failed != nil || !slices.Contains(namesOf(h.Generations[0].Files), "users.yaml") {
		t.Errorf("at the start: %+v", h)
	}
	before := sha256.Sum256([]byte(s.get("users.yaml")))
	s.put("users.yaml", siteUsers+"  - {id: carol, user: carol, subject: CN=carol, issuer: ca.pem}\n")
	after := sha256.Sum256([]byte(s.get("users.yaml")))
	reload(true)
	s.put("policy.csv", sitePolicy+"p, user:dave, *, GET, orders, allow\n")
	reload(false)
	h = l.server.History()
	if g := h.Generations[0]; len(h.Generations) != 2 || g.Number != 2 || !slices.Equal(g.Files, []mtlsguard.FileChange{{Name: "users.yaml", Path: s.path("users.yaml"), Before: before, After: after}}) {
		t.Errorf("after a change: %+v", h)
	}
	if f := h.Failed; f == nil || !slices.Equal(namesOf(f.Files), []string{"policy.csv"}) || len(f.Errors) != 1 || f.Errors[0].Line != 6 || !strings.Contains(f.Errors[0].What, "orders") || f.At.Before(h.Generations[0].At) {
		t.Errorf("got %+v, want the failed reload of policy.csv with its line", f)
	}
	s.put("policy.csv", sitePolicy)
	reload(true)
	h = l.server.History()
	if len(h.Generations) != 3 || len(h.Generations[0].Files) != 0 || h.Failed == nil {
		t.Errorf("after the same content: %+v", h)
	}
	if status := l.server.Status(); len(status.Failed) != 0 || status.Generation != 3 {
		t.Errorf("got %+v, want generation 3 without a failure", status)
	}
	s.sub(config, "crls: [ca.crl]", "crls: []")
	s.sub(config, "strict: false", "strict: false\n    server_names: [other.acme.example]") // its certificate is for another name
	reload(true)
	if g := l.server.History().Generations[0]; !slices.Equal(namesOf(g.Files), []string{"ca.crl", config}) || g.Files[0].After != (trust.Digest{}) || len(g.Warnings) == 0 {
		t.Errorf("a file less: %+v", g)
	}
}

// The history keeps the last 100 generations, and the first 100 changes of each.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "users: users.yaml", "users: users")
	if err := os.Mkdir(s.path("users"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 130 {
		s.put(fmt.Sprintf("users/%03d.jsonl", i), fmt.Sprintf(`{"id":"u%d","user":"u%d","fingerprint":"%064x"}`+"\n", i, i, i+1))
	}
	opened, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	first := opened.History().Generations[0]
	if len(first.Files) != 100 || first.Omitted < 30 || first.Files[0].Name != "ca.crl" {
		t.Errorf("%d files, %d omitted", len(first.Files), first.Omitted)
	}
	for range 104 {
		if err := opened.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	h := opened.History()
	if len(h.Generations) != 100 || h.Generations[0].Number != 105 || h.Generations[99].Number != 6 {
		t.Errorf("%d generations, from %d", len(h.Generations), h.Generations[0].Number)
	}
	h.Generations[0].Number = 7 // a copy
	if opened.History().Generations[0].Number != 105 {
		t.Error("the history can be changed")
	}
}
