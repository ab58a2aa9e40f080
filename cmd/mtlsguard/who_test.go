package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

func whoMay(t *testing.T, args string) (int, whoReport) {
	t.Helper()
	code, out, errs := runLine(t, "who --json --config mtlsguard.yaml "+args)
	if code == exitInvalid {
		t.Fatalf("who %s: %s", args, errs)
	}
	var r whoReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	return code, r
}

// lists reports whether a user may make the request, and by which row.
func (p *portCallers) lists(user string) (caller, bool) {
	for _, c := range p.Users {
		if c.User == user {
			return c, true
		}
	}
	named := func(c caller) bool { return c.User == user }
	for _, c := range p.Users {
		if c.Kind == callerOther && user != "Default" && !slices.ContainsFunc(p.Denied, named) {
			return c, true
		}
	}
	return caller{}, false
}

// who lists a user of a port exactly if a running server lets that user's request in, with
// the server's rule.
func TestListedUsersAreThoseThatTheServerLetsIn(t *testing.T) {
	site := serveLogged(t)
	put(t, "policy.csv", sitePolicy+`p, group:Everybody, public, GET, /open, allow
p, group:Authenticated, *, GET, /users/{user}/inbox, allow
g, group:staff, group:people
p, group:people, internal, GET, /people, allow
p, group:blocked, *, *, /people, deny
g, user:bob, group:blocked
`)
	site.reload()
	compared := 0
	for _, path := range []string{"/orders/7", "/whoami", "/open", "/users/alice/inbox", "/people", "/nothing"} {
		code, r := whoMay(t, "GET "+path)
		some := false
		for _, p := range r.Ports {
			some = some || len(p.Users) > 0
			for _, cert := range []string{"alice", "bob", "orders", "ed25519", "carol", "stranger", ""} {
				before := len(site.text())
				site.request(p.Port, cert, "GET", path)
				line := ""
				testkit.Eventually(t, "the line of the request", func() bool {
					line = site.text()[before:]
					return strings.HasSuffix(line, "\n")
				})
				var l logLine
				if err := json.Unmarshal([]byte(line), &l); err != nil {
					t.Fatal(err)
				}
				if l.User == "" {
					continue // no user: nothing to list
				}
				compared++
				c, listed := p.lists(l.User)
				if listed != (l.Outcome == "allow") || listed && !strings.HasSuffix(l.Rule, "/"+c.Rule) {
					t.Errorf("GET %s on port %s: the server answers user %s %s by %s, and who has %+v %t", path, p.Port, l.User, l.Outcome, l.Rule, c, listed)
				}
				if listed && l.Mapping != "" && !slices.ContainsFunc(c.Mappings, func(m callerMapping) bool {
					return m.ID == l.Mapping && m.At != "" && m.Issuer == "CN=Client CA,O=Acme"
				}) {
					t.Errorf("GET %s on port %s: user %s came by mapping %s, and who has %+v", path, p.Port, l.User, l.Mapping, c.Mappings)
				}
			}
		}
		if some != (code == exitYes) {
			t.Errorf("GET %s: status %d", path, code)
		}
	}
	if compared < 60 {
		t.Errorf("only %d requests had a user", compared)
	}
}

// Groups are resolved, deny rules count, and what is not a single user is named plainly.
func TestWhoNamesGroupsDenialsAndObstacles(t *testing.T) {
	site := serveLogged(t, "    trust: {anchors: [client-ca.pem, partner-ca.pem]}=>    trust: {anchors: [client-ca.pem, partner-ca.pem]}\n    unmapped: guest")
	replace(t, "users.yaml", "  # the people=>  - {id: old, user: dora, dns: dora.example, issuer: client-ca.pem, not_after: 2025-01-01}\n  - {id: off, user: emil, dns: emil.example, issuer: client-ca.pem, disabled: true}\n  - {id: away, user: fritz, dns: fritz.example, issuer: partner-ca.pem}")
	put(t, "policy.csv", sitePolicy+"g, group:staff, group:people\np, group:people, *, GET, /people, allow\np, user:bob, *, GET, /people, deny\np, user:dora, *, GET, /people, allow\np, user:emil, *, GET, /people, allow\np, user:fritz, *, GET, /people, allow\np, user:nobody-knows, partner, GET, /people, allow\np, user:guest, partner, GET, /people, allow\n")
	site.reload()
	site.request("partner", "alice", "GET", "/whoami")
	for _, row := range []struct {
		args string
		code int
		want []string
	}{
		{"--port internal GET /people", exitYes, []string{
			"GET /people on port internal\n  USER   RULE", "alice  policy.csv:10, group staff in people  staff users.yaml:14, by subject  CN=Client CA,O=Acme",
			"denied: bob, by policy.csv:11: p, user:bob, *, GET, /people, deny", "mapping away at users.yaml:13 has an issuer that the port does not trust", "mapping off at users.yaml:12 is disabled\n", "without a certificate: refused\n",
		}},
		{"--port partner GET /people", exitYes, []string{"fritz", "guest (any trusted certificate without a mapping)  policy.csv:16", "not mapped: nobody-knows, no mapping\n", "not mapped: alice, no mapping\n",
			"not mapped: dora, mapping old at users.yaml:11 ended at 2025-01-01T", "not mapped: emil, mapping off at users.yaml:12 is disabled"}},
		{"--port public GET /whoami", exitYes, []string{"any other user", "policy.csv:2, group Authenticated", "Default (anyone, without a certificate)  policy.csv:3, group Anonymous"}},
		{"--port public GET /people", exitYes, []string{"without a certificate: refused, as no rule allows Default the request"}},
		{"GET /nothing", exitNo, []string{"GET /nothing on port internal: no user\n", "GET /nothing on port public: no user\n"}},
		{"--port internal --log server.log GET /orders/7", exitYes, []string{"LAST SEEN", "not in the log"}},
		{"--port internal --log server.log GET /whoami", exitYes, []string{"LAST SEEN"}},
	} {
		code, out, errs := runLine(t, "who --config mtlsguard.yaml "+row.args)
		if code != row.code || errs != "" {
			t.Errorf("%s: status %d %s", row.args, code, errs)
		}
		for _, want := range row.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s\n%s\nwant %q", row.args, out, want)
			}
		}
	}
	site.request("internal", "alice", "GET", "/whoami")
	site.request("internal", "ed25519", "GET", "/whoami")
	_, r := whoMay(t, "--port internal --log server.log GET /whoami")
	for _, user := range []string{"alice", "ed25519"} { // a pattern gives the second, whom only the log names
		if !slices.ContainsFunc(r.Ports[0].Users, func(c caller) bool { return c.User == user && c.LastSeen != "" }) {
			t.Errorf("%s is not listed as seen: %+v", user, r.Ports[0].Users)
		}
	}
	for _, row := range []struct{ args, err string }{
		{"get /x", `"get" is not a method`}, {"GET x", "x"}, {"--port nothing GET /x", `there is no port "nothing"`}, {"'GET|POST' /x", "is not a method"}, {"--log nothing.log GET /x", "the log cannot be read"},
	} {
		if code, out, errs := runLine(t, "who --config mtlsguard.yaml "+row.args); code != exitInvalid || out != "" || !strings.Contains(errs, row.err) || !strings.Contains(errs, "hint: ") {
			t.Errorf("%s: status %d\n%s%s", row.args, code, out, errs)
		}
	}
}
