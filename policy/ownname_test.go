package policy_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/policy"
)

// Covers D17.
func TestUserInAPathIsTheCallersOwnName(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ rule, user, matches, not string }{
		{"group:Everybody /users/{user}", "alice", "/users/alice", "/users/bob /users/Alice /users/alic /users/alicee /users/ /users /users/alice/ /users/{user} /users/alice/x"},
		{"group:Everybody /users/{user}/inbox", "alice", "/users/alice/inbox", "/users/bob/inbox /users//inbox /users/alice/"},
		{"group:Everybody /users/{user}/*", "alice", "/users/alice/ /users/alice/x/y", "/users/alice /users/bob/ /users/bob/alice"},
		{"group:Everybody /{user}/{x}/{user}", "alice", "/alice/bob/alice /alice/alice/alice", "/alice/bob/bob /bob/bob/alice /alice//alice"},
		{"group:Everybody /{x}/{user}/*", "alice", "/bob/alice/ /alice/alice/x", "/alice/bob/x /alice//"},
		{"group:Everybody /{user}/", "alice", "/alice/", "/alice /bob/ / /alice/x"},
		// A user without a line, and names with every kind of character.
		{"group:Authenticated /{user}", "a.b_c@d-E9", "/a.b_c@d-E9", "/a.b_c@d-e9 /a-b_c@d-E9 /%61.b_c@d-E9"},
		// In a rule for one user, {user} is the name of that user.
		{"user:bob /users/{user}", "bob", "/users/bob", "/users/alice /users/{user}"},
		{"user:bob /users/{user}", "alice", "", "/users/bob /users/alice"},
		// The anonymous user has no name, so no path matches.
		{"group:Everybody /{user}", "Default", "", "/Default / /default /Anonymous /{user} /alice"},
		{"group:Anonymous /{user}/*", "Default", "", "/Default/ // /Default/x"},
		{"user:Default /{user}", "Default", "", "/Default /"},
		// Other names match any one segment.
		{"group:Everybody /{User}", "alice", "/alice /bob /Default", "/"},
		{"group:Everybody /{user_}", "alice", "/bob", "/"},
		{"group:Everybody /{x}", "Default", "/Default", "/"},
	} {
		subject, path, _ := strings.Cut(row.rule, " ")
		for _, effect := range []string{policy.Allow, policy.Deny} {
			text := "p, " + subject + ", *, *, " + path + ", " + effect + "\n"
			if effect == policy.Deny {
				text += "p, group:Everybody, *, *, /*, allow\n"
			}
			e := mustLoad(t, text)
			for want, paths := range map[bool]string{true: row.matches, false: row.not} {
				for request := range strings.FieldsSeq(paths) {
					d := decide(t, e, row.user, "p", "GET", request)
					if got := d.Rule.Line == 1 && d.Allowed == (effect == policy.Allow); got != want {
						t.Errorf("%s %s, user %s, path %s: %v, want %v", row.rule, effect, row.user, request, got, want)
					}
				}
			}
		}
	}
}

// The path * and ambiguous paths have no segment that is a name.
func TestUserInAPathNeverMatchesAnAmbiguousPath(t *testing.T) {
	t.Parallel()
	e := mustLoad(t, "p, group:Everybody, *, *, /{user}, allow\np, group:Everybody, *, *, /{user}/*, allow\n")
	for _, path := range []string{"*", "", "alice", "//alice", "/alice//", "/alice/..", "/./alice", `/alice\`, "/alice\x00", "/alice/\xff"} {
		if d := decide(t, e, "alice", "p", "OPTIONS", path); d.Allowed {
			t.Errorf("%q is allowed", path)
		}
	}
}

// {user} at the 32nd segment matches, and a longer path does not shift it.
func TestUserInAPathMatchesUpToTheLastSegment(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("/a", 31)
	e := mustLoad(t, "p, group:Everybody, *, *, "+deep+"/{user}, allow\np, group:Everybody, *, *, /{user}, allow\n")
	for path, want := range map[string]bool{deep + "/alice": true, deep + "/bob": false, deep + "/a/alice": false, deep + "/alice/alice": false, strings.Repeat("/a", 32) + "/alice": false} {
		if got := allowed(t, e, "alice", path); got != want {
			t.Errorf("%s: %t, want %t", path, got, want)
		}
	}
}

func TestUserInAPathAllocatesNothing(t *testing.T) {
	e := mustLoad(t, "p, group:Everybody, *, *, /users/{user}/*, allow\np, group:Everybody, *, *, /users/{x}/y, allow\np, user:alice, *, *, /users/alice/x, deny\n")
	if n := testing.AllocsPerRun(100, func() { decide(t, e, "alice", "p", "GET", "/users/alice/y") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestExplainSaysWhatUserStandsFor(t *testing.T) {
	t.Parallel()
	e := mustLoad(t, `p, group:Everybody, *, GET, /users/{user}/inbox, allow
p, group:Everybody, *, GET, /teams/{User}, allow
p, group:Everybody, *, GET, /docs/{id}, allow
`)
	for _, row := range []struct{ user, path, want string }{
		{"alice", "/users/alice/inbox", "matches: allow, by group Everybody\n    {user} is the caller's own user name, here alice\n"},
		{"alice", "/users/bob/inbox", "path: wants /users/{user}/inbox, got /users/bob/inbox\n    {user} is the caller's own user name, here alice\n"},
		{"Default", "/users/Default/inbox", "{user} is the caller's own user name, and never matches the anonymous user Default\n"},
		{"alice", "/teams/bob", "matches: allow, by group Everybody\n    {User} is any one segment; {user} would be the caller's own user name\n"},
	} {
		if x := e.Explain(policy.Request{User: row.user, Port: "p", Method: "GET", Path: row.path}); !strings.Contains(x.String(), row.want) {
			t.Errorf("%s %s:\n%s", row.user, row.path, x)
		}
	}
	for _, l := range explain(e, "alice", "p", "GET", "/docs/1").Lines {
		if note := l.Fields[3].Note; (note == "") != (l.Position.Line == 3) {
			t.Errorf("%s: got %q", l.Text, note)
		}
	}
}

// Covers D17.
func TestLintSaysWhatUserStandsFor(t *testing.T) {
	t.Parallel()
	const members = "g, user:alice, group:g\ng, group:Anonymous, group:guests\ng, group:Anonymous, group:mixed\ng, user:bob, group:mixed\n"
	for _, row := range []struct {
		rules, want string
		note        bool
	}{
		{"p, group:g, *, GET, /users/{user}, allow", "policy.csv:1: {user} is the caller's own user name: this rule allows each caller only the path with their own name", true},
		{"p, group:mixed, *, GET, /users/{user}, allow", "allows each caller only", true},
		{"p, group:g, *, GET, /users/{user}, deny", "this rule denies each caller only the path with their own name (write another name, such as {id}, for any one segment)", false},
		{"p, user:bob, *, GET, /users/{user}/a, allow", "in a rule for user:bob it is always bob (write /users/bob/a)", false},
		{"p, user:Default, *, GET, /users/{user}, allow", "this rule never matches: {user} is the caller's own user name, and user:Default is the anonymous user alone", false},
		{"p, group:Anonymous, *, GET, /users/{user}, deny", "this rule never matches", false},
		{"p, group:guests, *, GET, /users/{user}, allow", "this rule never matches", false},
		{"p, group:g, *, GET, /users/{USER}, allow", "{USER} is any one segment, not the caller's own user name (write {user}", false},
		// Rules that cover a rule with {user}, and rules that it covers.
		{"p, group:g, *, GET, /users/{user}, allow\np, group:g, *, GET, /users/{x}, allow", "policy.csv:1: this rule has no effect beside policy.csv:2", false},
		{"p, group:g, *, GET, /users/{x}, allow\np, group:g, *, GET, /users/{user}, deny", "", false},
		{"p, user:bob, *, GET, /users/bob, allow\np, group:Everybody, *, GET, /users/{user}, deny", "policy.csv:1: this rule never allows anything: policy.csv:2 denies all of it", false},
		{"p, user:bob, *, GET, /users/alice, allow\np, group:Everybody, *, GET, /users/{user}, deny", "", false},
		{"p, user:bob, *, GET, /users/{user}, allow\np, user:bob, *, GET, /users/bob, deny", "policy.csv:1: this rule never allows anything: policy.csv:2 denies all of it", false},
		{"p, group:g, *, GET, /users/{user}, allow\np, group:g, *, GET, /users/{user}, allow", "policy.csv:2: this rule repeats policy.csv:1", false},
		{"p, user:Default, *, GET, /users/Default, allow\np, group:Everybody, *, GET, /users/{user}, deny", "", false},
	} {
		found := false
		for _, f := range mustLoad(t, row.rules+"\n"+members).Lint() {
			about := strings.HasPrefix(f.What, "this rule") || strings.Contains(f.What, "caller's")
			switch {
			case row.want == "" && strings.HasPrefix(f.What, "this rule"):
				t.Errorf("%s: got %s", row.rules, f)
			case row.want != "" && about && strings.Contains(f.String(), row.want):
				found = true
				if f.Note != row.note {
					t.Errorf("%s: note %t, want %t", f, f.Note, row.note)
				}
			}
		}
		if row.want != "" && !found {
			t.Errorf("%s: %v, want %q", row.rules, mustLoad(t, row.rules+"\n"+members).Lint(), row.want)
		}
	}
}
