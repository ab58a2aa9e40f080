package policy_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/policy"
)

func explain(e *policy.Engine, user, port, method, path string) policy.Explanation {
	return e.Explain(policy.Request{User: user, Port: port, Method: method, Path: path})
}

func TestExplainSentences(t *testing.T) {
	e := mustLoad(t, office, policy.WithPorts("internal", "public"))
	for _, c := range []struct{ user, port, method, path, want string }{
		{"bob", "internal", "POST", "/orders", "no rule for user:bob (groups Authenticated, Everybody, people) on port internal for POST /orders"},
		{"alice", "internal", "GET", "/orders/7", "policy.csv:2 allows user:alice (groups Authenticated, Everybody, finance, people) on port internal for GET /orders/7"},
		{"mallory", "public", "GET", "/x", "policy.csv:3 denies user:mallory (groups Authenticated, Everybody, finance, people) on port public for GET /x"},
		{"mallory", "public", "GET", "/news", "policy.csv:3 denies user:mallory (groups Authenticated, Everybody, finance, people) on port public for GET /news, although policy.csv:4 allows it"},
		{"group:boss", "internal", "GET", "/", "no decision for user group:boss: the request names no user"},
		{"a\x1b[31m", "internal", "GET", "/", `no decision for user "a\x1b[31m": the request names no user`},
		{"bob", "internal", "GET", "/\n\x1b\u202e", `no rule for user:bob (groups Authenticated, Everybody, people) on port internal for GET "/\n\x1b\u202e"`},
		{"bob", "", "", "", `no rule for user:bob (groups Authenticated, Everybody, people) on port "" for "" ""`},
	} {
		if got := explain(e, c.user, c.port, c.method, c.path).Sentence; got != c.want {
			t.Errorf("\n got %s\nwant %s", got, c.want)
		}
	}
}

func TestExplainNearMisses(t *testing.T) {
	e := mustLoad(t, office+"g, group:finance, group:staff\np, group:staff, internal, GET, /staff/{id}, allow\n", policy.WithPorts("internal", "public"))
	for _, c := range []struct {
		user, port, method, path string
		want                     []string
	}{
		{"alice", "public", "GET", "/orders/7", []string{"policy.csv:2: p, group:finance", "port: wants internal, got public"}},
		{"alice", "internal", "PUT", "/orders/7", []string{"method: wants GET|POST, got PUT"}},
		{"alice", "internal", "GET", "/orders", []string{"path: wants /orders/*, got /orders"}},
		{"bob", "internal", "GET", "/orders/7", []string{"subject: wants group:finance, got user:bob", "no line of the policy names user:bob"}},
		{"alice", "internal", "GET", "/staff/7", []string{"matches: allow, by group finance in staff"}},
		{"alice", "intern", "get", "/a//b", []string{"there is no port intern", "the method get is not known", "is ambiguous"}},
	} {
		got := explain(e, c.user, c.port, c.method, c.path).String()
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%+v: no %q in\n%s", c, w, got)
			}
		}
	}
	x := explain(e, "alice", "internal", "GET", "/orders/7")
	if !x.Lines[0].Matches || x.Lines[0].Position.String() != "policy.csv:2" || len(x.Lines[0].Fields) != 4 {
		t.Errorf("the first line is %+v", x.Lines[0])
	}
	if _, err := json.Marshal(x); err != nil {
		t.Error(err)
	}
}

func TestExplainIsBounded(t *testing.T) {
	e := mustNew(t, first(large(5000)), second(large(5000)))
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "p, group:Everybody, internal, GET, /a/%d, allow\n", i)
	}
	e2 := mustLoad(t, text.String())
	x, y := explain(e, "user1", "internal", "GET", "/nowhere"), explain(e2, "u", "internal", "GET", "/a")
	if len(x.Lines) == 0 || len(x.Lines) > 50 || len(y.Lines) != 50 || y.Omitted != 450 {
		t.Errorf("%d lines; %d lines and %d omitted", len(x.Lines), len(y.Lines), y.Omitted)
	}
}

func TestExplainPrintsPlainASCII(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 52 {
		fmt.Fprintf(&text, "p, user:u, internal, GET, /é~/%d, allow\n", i)
	}
	got := explain(mustLoad(t, text.String()), "u", "internal", "GET", "/é").String()
	for _, want := range []string{`"/\u00e9~/0`, "  and 2 more rules that differ in more fields\n", `got "/\u00e9"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%.400s", want, got)
		}
	}
	if strings.ContainsFunc(got, func(c rune) bool { return c > '~' }) {
		t.Errorf("not ASCII: %s", got)
	}
	for path, want := range map[string]string{
		"/~!": "GET /~!", "/" + strings.Repeat("a", 79): "GET /aa", "/" + strings.Repeat("a", 80): `GET "/aa`, "/ ": `GET "/ "`, `/"`: `GET "/\""`, "": `GET ""`, "/\x7f": `GET "/\x7f"`,
	} {
		if got := explain(mustLoad(t, ""), "u", "internal", "GET", path).Sentence; !strings.Contains(got, want) {
			t.Errorf("%q: got %s, want %v", path, got, want)
		}
	}
}

// At a node with many rules Lint searches instead of scanning, with the same findings.
func TestLintSearchesLongLists(t *testing.T) {
	t.Parallel()
	for _, n := range []int{6, 7, 8, 30} {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "p, user:u%d, *, GET, /a, allow\n", i)
		}
		text.WriteString("p, group:f, *, GET, /a, allow\np, group:g, *, GET, /a, deny\np, user:u5, *, GET, /a, allow\n")
		text.WriteString("g, user:u3, group:f\ng, group:f, group:g\n")
		var got []string
		for _, f := range mustLoad(t, text.String()).Lint() {
			got = append(got, f.String())
		}
		want := []string{
			fmt.Sprintf("policy.csv:4: this rule never allows anything: policy.csv:%d denies all of it (deny beats allow; remove one of them)", n+2),
			fmt.Sprintf("policy.csv:%d: this rule never allows anything: policy.csv:%d denies all of it (deny beats allow; remove one of them)", n+1, n+2),
			fmt.Sprintf("policy.csv:%d: this rule repeats policy.csv:6 (remove one of them)", n+3),
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%d rules:\n%s\nwant\n%s", n, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestLintNamesRulesWithoutALineByTheirNumber(t *testing.T) {
	t.Parallel()
	r := policy.Rule{Subject: "group:g", Port: "*", Method: "GET", Path: "/a", Effect: policy.Allow}
	m := policy.Member{Subject: "user:u", Group: "group:h"}
	var got []string
	for _, f := range mustNew(t, []policy.Rule{r, r}, []policy.Member{m, m}).Lint() {
		if f.About != "policy" {
			t.Errorf("about %q, want %q", f.About, "policy")
		}
		got = append(got, f.String())
	}
	want := `rule 1: group:g has no users (write: g, user:NAME, group:g)
rule 2: this rule repeats rule 1 (remove one of them)
membership 1: no rule names group:h or a group that it is in (write a rule for it, or remove its members)
membership 2: this membership repeats membership 1 (remove one of them)`
	if strings.Join(got, "\n") != want {
		t.Errorf("got %s, want %v", strings.Join(got, "\n"), want)
	}
}

func TestLintFindings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text, want string // position, then parts of What and Hint; "" means no finding
	}{
		{"clean", "p, group:a, *, GET, /a, allow\np, group:a, *, GET, /a/*, allow\np, user:x, *, GET, /a, deny\ng, user:u, group:a\n", ""},
		{"duplicate", "p, user:u, *, GET, /a, allow\np, user:u, *, GET, /a, allow\n", "p.csv:2…repeats p.csv:1"},
		{"the same written otherwise", "p, user:u, *, GET|POST, /{a}, allow\np, user:u, *, POST|GET, /{b}, allow\n", "p.csv:2…has no effect beside p.csv:1"},
		{"the same at OPTIONS *", "p, user:u, *, OPTIONS, *, allow\np, user:u, in, OPTIONS, *, allow\n", "p.csv:2…has no effect beside p.csv:1"},
		{"a {name} of the characters at the ends of their ranges", "p, user:u, *, GET, /{azAZ09_-}, allow\np, user:u, *, GET, /{z}, allow\n", "p.csv:2…has no effect beside p.csv:1"},
		{"covered by /*", "p, user:u, in, GET, /a/b, allow\np, user:u, *, GET, /a/*, allow\n", "p.csv:1…has no effect beside p.csv:2"},
		{"covered by all ports", "p, user:u, in, GET, /a/*, allow\np, user:u, *, GET, /a/*, allow\n", "p.csv:1…has no effect beside p.csv:2"},
		{"all of /* covered by /*", "p, user:u, in, GET, /*, allow\np, user:u, *, GET, /*, deny\n", "p.csv:1…never allows…p.csv:2"},
		{"covered by {x}", "p, user:u, in, HEAD, /a/b, deny\np, user:u, in, GET, /a/{x}, deny\n", "p.csv:1…has no effect beside p.csv:2"},
		{"covered by two", "p, user:u, *, GET, /a, allow\np, user:u, *, POST, /a, allow\np, user:u, *, GET|POST, /a, allow\n", "p.csv:3…p.csv:1 and p.csv:2"},
		{"{x} does not cover nothing", "p, user:u, *, GET, /a/, allow\np, user:u, *, GET, /a/{x}, allow\n", ""},
		{"{x} is not covered by a literal", "p, user:u, *, GET, /{x}, allow\np, user:u, *, GET, /a, deny\n", ""},
		{"/* is not covered by {x}", "p, user:u, *, GET, /a/*, allow\np, user:u, *, GET, /a/{x}, allow\n", "p.csv:2…has no effect beside p.csv:1"},
		{"one port does not cover all", "p, user:u, *, GET, /a, allow\np, user:u, in, GET, /a, deny\n", ""},
		{"another subject", "p, user:u, *, GET, /a, allow\np, user:v, *, GET, /*, allow\n", ""},
		{"dead", "p, user:u, *, GET, /a, allow\np, user:u, *, *, /*, deny\n", "p.csv:1…never allows…p.csv:2 denies"},
		{"dead by group", "p, user:u, *, GET, /a, allow\np, group:g, *, *, /*, deny\ng, user:u, group:f\ng, group:f, group:g\n", "p.csv:1…never allows…p.csv:2"},
		{"dead by Everybody", "p, group:f, *, GET, /a, allow\np, group:Everybody, *, GET, /*, deny\ng, user:u, group:f\n", "p.csv:1…never allows…p.csv:2"},
		{"dead by Authenticated", "p, group:f, *, GET, /a, allow\np, group:Authenticated, *, GET, /*, deny\ng, user:u, group:f\n", "p.csv:1…never allows…p.csv:2"},
		{"not dead for Default", "p, group:f, *, GET, /a, allow\np, group:Authenticated, *, GET, /*, deny\ng, group:Anonymous, group:f\n", ""},
		{"not dead for Everybody", "p, group:Everybody, *, GET, /a, allow\np, group:Authenticated, *, GET, /*, deny\n", ""},
		{"partly dead", "p, user:u, *, GET|POST, /a, allow\np, user:u, *, GET, /*, deny\n", ""},
		{"star", "p, user:u, *, *, *, allow\n", "p.csv:1…OPTIONS *…write /*"},
		{"star for OPTIONS", "p, user:u, *, OPTIONS, *, allow\n", ""},
		{"empty group", "p, group:g, *, GET, /a, allow\n", "p.csv:1…group:g has no users…g, user:NAME, group:g"},
		{"empty group of groups", "p, group:g, *, GET, /a, allow\ng, group:f, group:g\n", "p.csv:1…group:g has no users"},
		{"group of Everybody", "p, group:g, *, GET, /a, allow\ng, group:Everybody, group:g\n", ""},
		{"like reserved", "p, group:everybody, *, GET, /a, allow\n", "p.csv:1…did you mean group:Everybody"},
		{"group without rule", "p, user:u, *, GET, /a, allow\ng, user:u, group:g\n", "p.csv:2…no rule names group:g"},
		{"group in a group with a rule", "p, group:h, *, GET, /a, allow\ng, user:u, group:g\ng, group:g, group:h\n", ""},
		{"membership twice", "p, group:g, *, GET, /a, allow\ng, user:u, group:g\ng, user:u, group:g\n", "p.csv:3…repeats p.csv:2"},
		{"no line end", "p, user:u, *, GET, /a, allow", "p.csv:1…no line end"},
	} {
		e, err := policy.Load("p.csv", strings.NewReader(c.text))
		if err != nil {
			t.Fatal(err)
		}
		found := e.Lint()
		if c.want == "" {
			if len(found) > 0 {
				t.Errorf("%s: got %v", c.name, found)
			}
			continue
		}
		if len(found) != 1 {
			t.Errorf("%s: %d findings: %v", c.name, len(found), found)
			continue
		}
		for w := range strings.SplitSeq(c.want, "…") {
			if !strings.Contains(found[0].String(), w) {
				t.Errorf("%s: %s does not contain %q", c.name, found[0], w)
			}
		}
	}
}

// The rules that decide come first, then those that miss by fewer fields. A rule for another
// subject counts as near only if nothing else differs.
func TestExplainOrdersNearMisses(t *testing.T) {
	t.Parallel()
	e := mustLoad(t, `p, user:bob, internal, GET, /a, allow
p, user:bob, public, POST, /b, allow
p, user:alice, public, POST, /c, allow
p, user:alice, internal, GET, /d, allow
p, user:bob, *, OPTIONS, *, allow
`, policy.WithPorts("internal", "public"))
	for _, row := range []struct {
		user, method, path string
		lines              string
	}{
		{"alice", "GET", "/a", "1 4 3"},
		{"bob", "OPTIONS", "*", "5 1 2"},
		{"alice", "OPTIONS", "*", "5 4 3"},
		{"alice", "OPTIONS", "/x", "4 3"},
	} {
		var lines []string
		for _, l := range explain(e, row.user, "internal", row.method, row.path).Lines {
			lines = append(lines, strconv.Itoa(l.Position.Line))
		}
		if got := strings.Join(lines, " "); got != row.lines {
			t.Errorf("%s %s %s: lines %s, want %s", row.user, row.method, row.path, got, row.lines)
		}
	}
}
