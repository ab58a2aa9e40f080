package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// A line that no server wrote, with a text in the place of a user or a method, leads to no line
// of policy to paste.
// Covers L18.
func TestForgedLineLeadsToNoLineOfPolicy(t *testing.T) {
	serveLogged(t)
	for _, row := range []struct{ user, method, path string }{
		{"bob, *, *, /*, allow", "GET", "/nothing"},
		{"bob\np, group:Everybody", "GET", "/nothing"},
		{"bob", "GET, /*, allow\np, group:Everybody, *, *", "/nothing"},
		{"bob", "*", "/nothing"},
		{"bob", "GET", "/nothing, allow\np, group:Everybody, *, *, /*"},
	} {
		line, err := json.Marshal(map[string]string{"time": "2026-01-31T08:00:00Z", "event": "decision", "outcome": "refuse", "reason": "no-rule", "port": "internal", "user": row.user, "method": row.method, "path": row.path, "reference": "00000000000000aa"})
		if err != nil {
			t.Fatal(err)
		}
		put(t, "server.log", string(line)+"\n")
		_, out, _ := runLine(t, "explain --json --config mtlsguard.yaml --log server.log --refused")
		var x struct{ Hints []hint }
		if err := json.Unmarshal([]byte(out), &x); err != nil {
			t.Fatal(err)
		}
		for _, h := range x.Hints {
			if strings.HasPrefix(h.Write, "p, ") || h.Write != "" && row.user != "bob" {
				t.Errorf("%q: got the hint %+v, which widens the policy or the users", row, h)
			}
		}
	}
}
