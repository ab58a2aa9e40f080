package storetest

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

// LargeNode tests two nodes with 50,000 mappings, one with a folder of segments and one with a single file: of a change, a node
// fetches and parses what has changed, and uses everything else again. The log has how long each change took.
func LargeNode(t *testing.T, e Engine) {
	size := 50_000
	if testing.Short() {
		size = 5_000
	}
	n := newNodes(t)
	split := usersfile.Split{Prefix: "users/u", N: 64}
	files := map[string]string{}
	line := func(i int, user string) string {
		return fmt.Sprintf("{\"id\": \"u%d\", \"user\": \"%s\", \"subject\": \"CN=u%d,OU=Users\", \"issuer\": \"%%sclient-ca.pem\"}\n", i, user, i)
	}
	var segments = make([]strings.Builder, split.N)
	var one strings.Builder
	for i := range size {
		text := line(i, fmt.Sprintf("u%d", i))
		fmt.Fprintf(&segments[split.Of(fmt.Sprintf("u%d", i))], text, "../")
		fmt.Fprintf(&one, text, "")
	}
	for i := range segments {
		files[split.Name(i)] = segments[i].String()
	}
	files["users.jsonl"] = one.String()
	editor := e.Open()
	n.commit(editor, n.of(files))
	n.startWith("folder", "users", e.Open())
	n.startWith("one-file", "users.jsonl", e.Open())

	site := func(i int) *site.Generation { return fleetedit.OfServer(n.servers[i]).Site }
	// take commits a change of a file, and returns how often each node has parsed what for it.
	take := func(what, name, content string) [2]map[string]int {
		t.Helper()
		files := maps.Clone(files)
		files[name] = content
		g := n.of(files)
		begun := n.commit(editor, g)
		var took [2]time.Duration
		testkit.Eventually(t, what, func() bool {
			all := true
			for i, s := range n.servers {
				switch {
				case s.Status().Source.Number != g.Manifest.Number:
					all = false
				case took[i] == 0:
					took[i] = time.Since(begun)
				}
			}
			return all
		})
		t.Logf("%d mappings, %s: in effect after %v on the node with a folder, %v on that with one file", size, what, took[0], took[1])
		return [2]map[string]int{site(0).Parsed, site(1).Parsed}
	}
	expect := func(what string, got [2]map[string]int, folder, file map[string]int) {
		t.Helper()
		if !maps.Equal(got[0], folder) || !maps.Equal(got[1], file) {
			t.Errorf("%s: parsed %v and %v, want %v and %v", what, got[0], got[1], folder, file)
		}
	}
	nothing := map[string]int{}
	tables := [2]any{site(0).Table, site(1).Table}
	const policy = "p, group:Authenticated, *, GET, /*, allow\np, user:u7, internal, POST, /orders, allow\n"
	expect("a rule", take("a rule", "policy.csv", policy), map[string]int{"policy": 1}, map[string]int{"policy": 1})
	files["policy.csv"] = policy
	if tables != [2]any{site(0).Table, site(1).Table} {
		t.Error("another table after a change of the policy")
	}
	changed := strings.Replace(line(7, "u7"), `"user": "u7"`, `"user": "seven"`, 1)
	segment := split.Name(split.Of("u7"))
	files[segment] = strings.Replace(files[segment], fmt.Sprintf(line(7, "u7"), "../"), fmt.Sprintf(changed, "../"), 1)
	expect("a mapping of a segment", take("a mapping of a segment", segment, files[segment]), map[string]int{"users": 1}, nothing)
	if got := n.ask(n.pki.Client("u7"), 0); got != "seven" {
		t.Errorf("the user of the changed mapping is %s", got)
	}
	one7 := strings.Replace(files["users.jsonl"], fmt.Sprintf(line(7, "u7"), ""), fmt.Sprintf(changed, ""), 1)
	expect("a mapping of one file", take("a mapping of one file", "users.jsonl", one7), nothing, map[string]int{"users": 1})
	if got := n.ask(n.pki.Client("u7"), 1); got != "seven" {
		t.Errorf("the user of the changed mapping is %s", got)
	}
}
