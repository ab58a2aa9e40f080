package policy_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/policy"
)

func onePath(t testing.TB, path string) (*policy.Engine, error) {
	t.Helper()
	return policy.New([]policy.Rule{{Subject: "user:u", Port: "*", Method: "GET", Path: path, Effect: policy.Allow}}, nil)
}

// Covers D1, D2, D3.
func TestPathsMatchWholeSegments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, matches, not string }{
		{"/", "/", "/a //"},
		{"/a", "/a", "/ /a/ /A /aa /a/b /b"},
		{"/a/", "/a/", "/a /a/b /a//"},
		{"/a/*", "/a/ /a/b /a/b/ /a/b/c/d", "/a /ab /ab/c / /b/a/x"},
		{"/*", "/ /a /a/b /a/", "* a"},
		{"/{x}", "/a /a.b /% /{x} /*", "/ /a/ /a/b"},
		{"/{x}/", "/a/", "/a // /a/b"},
		{"/a/{x}/c", "/a/b/c /a/c/c", "/a//c /a/c /a/b/d /a/b/c/"},
		{"/a/{x}/*", "/a/b/ /a/b/c", "/a/ /a/b"},
		{"/a.b", "/a.b", "/aXb"},
		{"/a|b", "/a|b", "/a /b"},
		{"/(a)[b]+$^", "/(a)[b]+$^", "/ab /a"},
		{"/a:b", "/a:b", "/ab /a:c"},
		{"/100%", "/100%", "/100%25"},
		{"/%zz", "/%zz", "/zz"},
		{"/über_uns", "/über_uns", "/uber_uns"}, // the test replaces _ by a blank
		{"/...", "/...", "/.."},
		{"*", "*", "/ /* /a **"},
	} {
		e, err := onePath(t, strings.ReplaceAll(c.rule, "_", " "))
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		for want, paths := range map[bool]string{true: c.matches, false: c.not} {
			for _, path := range strings.Fields(paths) {
				path = strings.ReplaceAll(path, "_", " ")
				if got := allowed(t, e, "u", path); got != want {
					t.Errorf("rule %s, path %s: %v, want %v", c.rule, path, got, want)
				}
			}
		}
	}
}

// Covers D1, D2, D3, D4.
func TestInvalidPathsAreRejected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, parts string }{
		{"", "empty…write /*"},
		{"a", `does not begin with /…"/a"`},
		{"**", "does not begin"},
		{"*/a", "does not begin"},
		{"//", "//"},
		{"/a//b", "//"},
		{"//*", "//"},
		{"/a/./b", "segment ."},
		{"/..", "segment ..…it leads to"},
		{"/a/../b", "segment .."},
		{"/*/a", "* that is not its last…{name}"},
		{"/public/*/open", "* that is not its last"},
		{"/a*", "* that is not its last"},
		{"/**", "* that is not its last"},
		{"/a/*/", "* that is not its last"},
		{"/{id", "braces"},
		{"/id}", "braces"},
		{"/{}", "braces"},
		{"/{a}{b}", "braces"},
		{"/a{b}", "braces"},
		{"/{id:[0-9]+}", "braces"},
		{"/{rest...}", "braces"},
		{"/{a b}", "braces"},
		{"/a/:id", "write {id}"},
		{"/a/:user", "write {user} for the caller's own user name…{id}"},
		{"/:id/*", "write {id}"},
		{"/a%2fb", "%2f…decoded"},
		{"/%41", "%41…decoded"},
		{"/%aF", "%aF…decoded"},
		{"/%f9", "%f9…decoded"},
		{"/a%00", "%00"},
		{"/a?b=c", `"?"…query`},
		{"/a#b", `"#"`},
		{`/a\b`, `\`},
		{"/a,b", `","…{name}`},
		{`/"a"`, `quote`},
		{"/a ", "blank"},
		{"/a\nb", "control"},
		{"/a\x00", "control"},
		{"/a\x7f", "control"},
		{"/a\u0085", "control"},
		{"/\xff", "UTF-8"},
		{strings.Repeat("/a", 33), "32 segments"},
		{strings.Repeat("/a", 32) + "/*", "32 segments"},
	} {
		_, err := onePath(t, c.path)
		wantOneError(t, err, "", strings.Replace(c.parts, "quote", `\"`, 1)+"…rule 1: ")
		if t.Failed() {
			t.Fatalf("path %q", c.path)
		}
	}
}

// The guard refuses such targets with 400. An engine without a guard must not allow them
// either, not even by /*.
// Covers D4.
func TestNoRuleMatchesAnAmbiguousPath(t *testing.T) {
	t.Parallel()
	e := mustLoad(t, "p, user:u, *, *, /*, allow\np, user:u, *, *, /a/*, allow\np, user:u, *, *, /a/{x}, allow\n")
	for _, path := range []string{
		"", "a", "a/b", "//", "/a//b", "/a//", "/./a", "/a/.", "/a/..", "/a/../b", "/..", `/a\b`, `\a`,
		"/a\x00", "/a\n", "/a\r\n", "/a\x1f", "/a\x7f", "/a/\xff", "/a/\xc0\xaf", "/a/\xed\xa0\x80",
	} {
		if allowed(t, e, "u", path) {
			t.Errorf("%q is allowed", path)
		}
	}
	for _, path := range []string{"/a/%2f", "/a/%2e%2e", "/a/;x=..", "/a/...", "/a/..b", "/.well-known/x", "/a?b", "/é"} {
		if !allowed(t, e, "u", path) {
			t.Errorf("%q is refused, but has only one reading", path)
		}
	}
}

// covers implements the grammar of paths a second time, as a regular expression: slow, short
// and independent of the tree.
func covers(rule, path string) bool {
	if rule == "*" || path == "*" {
		return rule == path
	}
	var b strings.Builder
	for i, s := range strings.Split(rule, "/") {
		if i > 0 {
			b.WriteString("/")
		}
		switch {
		case s == "*":
			b.WriteString(`(?s:.*)`)
		case s == "{user}":
			b.WriteString("u") // the user of these tests
		case strings.HasPrefix(s, "{"):
			b.WriteString(`[^/]+`)
		default:
			b.WriteString(regexp.QuoteMeta(s))
		}
	}
	return regexp.MustCompile(`\A(?:`+b.String()+`)\z`).MatchString(path) &&
		utf8.ValidString(path) &&
		!regexp.MustCompile(`//|/\.\.?(/|\z)|[\x00-\x1f\x7f\\]`).MatchString(path)
}

func FuzzPath(f *testing.F) {
	for _, s := range [][2]string{
		{"/a/*", "/a/b"}, {"/a/{x}/c", "/a/b/c"}, {"/*", "/"}, {"*", "*"}, {"/a.b", "/aXb"}, {"/{x}", "/*"},
		{"/a/", "/a//"}, {"/a/*", "/a/../b"}, {"/é", "/é"}, {"/a/{x}/*", "/a/b/"}, {"/a/{user}/*", "/a/u/"}, {"/{user}/{user}", "/u/u"}, {"/{user}", "/{user}"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, rule, path string) {
		// The policy has other rules that share nodes of the tree with the rule.
		rules := []policy.Rule{{Subject: "user:u", Port: "*", Method: "GET", Path: rule, Effect: policy.Allow}}
		for _, p := range []string{"/{x}/{y}/{z}/*", "/a/{x}", "/a/*", "/{x}/a", "/{user}/a", "/{x}/{user}/*", "/", path} {
			r := policy.Rule{Subject: "user:other", Port: "*", Method: "GET", Path: p, Effect: policy.Allow}
			if _, err := policy.New([]policy.Rule{r}, nil); err == nil {
				rules = append(rules, r)
			}
		}
		e, err := policy.New(rules, nil)
		if err != nil {
			return
		}
		if got, want := allowed(t, e, "u", path), covers(rule, path); got != want {
			t.Errorf("rule %q, path %q: %v, want %v", rule, path, got, want)
		}
		x := e.Explain(policy.Request{User: "u", Port: "p", Method: "GET", Path: path})
		for _, l := range x.Lines {
			if l.Position.Number == 1 && l.Matches != covers(rule, path) {
				t.Errorf("rule %q, path %q: explained %v", rule, path, l.Matches)
			}
		}
	})
}
