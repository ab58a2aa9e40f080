package policy_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/policy"
)

func TestRulesSurviveWritingAndLoading(t *testing.T) {
	t.Parallel()
	rules, members, err := read("x.csv", strings.NewReader(
		"# a comment, with a comma and a \"quote\"\n\n  \t \n\t# another\r\n"+
			"p,user:a,*,GET,/a b,allow\r\n"+
			" \tp ,\tgroup:b , internal,GET|POST, /c/{id}/* ,deny \n"+
			"g, user:a, group:b"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []policy.Rule{
		{Subject: "user:a", Port: "*", Method: "GET", Path: "/a b", Effect: policy.Allow, File: "x.csv", Line: 5},
		{Subject: "group:b", Port: "internal", Method: "GET|POST", Path: "/c/{id}/*", Effect: policy.Deny, File: "x.csv", Line: 6},
	}; !slices.Equal(rules, want) {
		t.Errorf("rules %+v", rules)
	}
	if want := []policy.Member{{Subject: "user:a", Group: "group:b", File: "x.csv", Line: 7}}; !slices.Equal(members, want) {
		t.Errorf("members %+v", members)
	}
	again, membersAgain, err := read("x.csv", strings.NewReader(write(rules, members)))
	if err != nil || len(again) != 2 || again[1].Path != "/c/{id}/*" || len(membersAgain) != 1 {
		t.Errorf("String is read back as %+v, %+v, %v", again, membersAgain, err)
	}
}

// Covers D5, D6.
func TestInvalidLinesAreRejected(t *testing.T) {
	t.Parallel()
	const good = "p, user:a, *, GET, /a, allow\n"
	for _, c := range []struct{ line, parts string }{
		{"p, user:a, *, GET, /a", "5 fields…effect is missing"},
		{"p, user:a, GET, /a, allow", "5 fields…p, subject, port, method, path, effect"},
		{"p, user:a, *, GET, /a, allow, x", "7 fields"},
		{"p, user:a, *, GET, /a, allow,", "7 fields"},
		{"p", "1 field,"},
		{"p" + strings.Repeat(",", 1000), "16 fields"},
		{"g, user:a", "2 fields…g, member, group"},
		{"g, user:a, group:b, group:c", "4 fields"},
		{"P, user:a, *, GET, /a, allow", `unknown type "P"`},
		{"p2, user:a, *, GET, /a, allow", `unknown type "p2"`},
		{"g2, user:a, group:b", `unknown type "g2"`},
		{", user:a, *, GET, /a, allow", `unknown type ""`},
		{",", `unknown type ""`},
		{"[request_definition]", "unknown type"},
		{"p; user:a; *; GET; /a; allow", "unknown type"},
		{`p, "user:a", *, GET, /a, allow`, "quote"},
		{`p, user:a, *, GET, "/a,b", allow`, "quote"},
		{"p, user:a, *, GET, /a, allow # why", `"allow # why"…line of its own`},
		{"p, user:a, *, GET, /a, Allow", `"Allow"…lower case`},
		{"p, user:a, *, GET, /a, alow", `"alow"`},
		{"p, user:a, *, GET, /a,", "effect is empty"},
		{"p, alice, *, GET, /a, allow", `"alice" is neither user:NAME nor group:NAME…write user:alice or group:alice`},
		{"p, , *, GET, /a, allow", "subject is empty"},
		{"p, *, *, GET, /a, allow", "group:Everybody"},
		{"p, role:a, *, GET, /a, allow", "not a subject"},
		{"p, User:a, *, GET, /a, allow", "not a subject"},
		{"p, user:, *, GET, /a, allow", "valid name"},
		{"p, user:a b, *, GET, /a, allow", "valid name"},
		{"p, user:group:a, *, GET, /a, allow", "valid name"},
		{"p, user:_a, *, GET, /a, allow", "valid name"},
		{"p, user:" + strings.Repeat("a", 129) + ", *, GET, /a, allow", "valid name"},
		{"p, user:*, *, GET, /a, allow", "valid name"},
		{"p, user:Everybody, *, GET, /a, allow", "reserved…group:Everybody"},
		{"p, user:Anonymous, *, GET, /a, allow", "reserved"},
		{"p, user:Authenticated, *, GET, /a, allow", "reserved"},
		{"p, group:Default, *, GET, /a, allow", "reserved…user:Default"},
		{"p, user:a, , GET, /a, allow", "port is empty"},
		{"p, user:a, in*, GET, /a, allow", "port…one port"},
		{"p, user:a, a|b, GET, /a, allow", "port…one port"},
		{"p, user:a, *, GET, a, allow", "begin with /"},
		{"p, user:a, *, GET, /a\tb, allow", "control"},
		{"p, user:a, *, GET, /\u0085, allow", "control"},
		{"p, user:a, *, GET, /a\x00, allow", "NUL"},
		{"# a comment\x00", "NUL"},
		{"p, user:a, *, GET, /a, allow\rp, user:a, *, *, /*, allow", "carriage return"},
		{"# a comment\rp, user:a, *, *, /*, allow", "carriage return"},
		{"p, user:a, *, GET, /a, allow\r\r", "carriage return"},
		{"p, user:a, *, GET, /\xff, allow", "UTF-8"},
		{"\uFEFFp, user:a, *, GET, /a, allow", "unknown type"},
		{"\rp, user:a, *, *, /*, allow", "carriage return"},
		{"p, user:a, *, GET, /" + strings.Repeat("a", 64<<10) + ", allow", "64 KiB"},
		{"#" + strings.Repeat("a", 64<<10), "64 KiB"},
		{"#" + strings.Repeat("a", 1<<20), "64 KiB"},
		{"g, a, group:b", `"a" is neither`},
		{"g, user:a, b", `"b" is neither`},
		{"g, user:a, user:b", "not a group"},
		{"g, user:a, group:Everybody", "takes no members"},
		{"g, group:a, group:Authenticated", "takes no members"},
		{"g, user:a, group:Anonymous", "takes no members"},
		{"g, group:Everybody, group:Everybody", "takes no members"},
		{"g, user:Default, group:a", "Default…g, group:Anonymous, group:a"},
		{"g, user:Everybody, group:a", "reserved"},
		{"g, user:a, group:Default", "reserved"},
	} {
		text := good + c.line + "\n" + good
		_, err := policy.Load("dir/policy.csv", strings.NewReader(text))
		wantOneError(t, err, "dir/policy.csv:2", c.parts)
		if t.Failed() {
			t.Fatalf("line %.100q", c.line)
		}
	}
}

func TestByteOrderMarkIsRejected(t *testing.T) {
	t.Parallel()
	_, _, err := read("p.csv", strings.NewReader("\uFEFFp, user:a, *, GET, /a, allow\np, bob, *, GET, /a, allow\n"))
	all := configerror.All(err)
	if len(all) != 2 || all[0].Position() != "p.csv:1" || !strings.Contains(all[0].Error(), "byte order mark") || all[1].Line != 2 {
		t.Error(err)
	}
}

func TestEveryErrorIsReported(t *testing.T) {
	t.Parallel()
	text := "p, alice, there, get, a, alow\ng, alice, bob\np, a\np, group:x, elsewhere, BREW, /a, allow\ng, group:x, group:y\ng, group:y, group:x\n"
	e, err := policy.Load("p.csv", strings.NewReader(text), policy.WithPorts("internal", "public"))
	if e != nil {
		t.Error("Load returned an engine with errors")
	}
	var at []string
	for _, m := range configerror.All(err) {
		at = append(at, m.Position())
		if m.What == "" || m.Hint == "" {
			t.Errorf("%v: no hint", m)
		}
	}
	if want := strings.Fields("p.csv:1 p.csv:1 p.csv:1 p.csv:1 p.csv:1 p.csv:2 p.csv:2 p.csv:3 p.csv:4 p.csv:4 p.csv:6"); !slices.Equal(at, want) {
		t.Errorf("errors at %v\n%v", at, err)
	}
}

func TestReportOfManyErrorsIsBounded(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("what is this\n", 200_000)
	_, _, err := read("p.csv", strings.NewReader(text))
	all := configerror.All(err)
	if len(all) != 101 || all[99].Line != 100 || !strings.Contains(all[100].What, "199900") {
		t.Errorf("%d errors, the last %v", len(all), all[len(all)-1])
	}
}

// endless is a reader of one line without an end.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left -= len(p); e.left < 0 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'p'
	}
	return len(p), nil
}

func TestLongestPortIsRead(t *testing.T) {
	t.Parallel()
	rule := func(n int) string { return "p, user:a, " + strings.Repeat("p", n) + ", GET, /, allow\n" }
	mustLoad(t, rule(128))
	_, err := policy.Load("p.csv", strings.NewReader(rule(129)))
	wantOneError(t, err, "p.csv:1", "is not a name")
}

func TestLongestLineIsRead(t *testing.T) {
	t.Parallel()
	mustLoad(t, "#"+strings.Repeat("a", 64<<10-1)+"\n")
}

func TestEndlessLineTakesNoMemory(t *testing.T) {
	const size = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := read("p.csv", &endless{left: size})
	runtime.ReadMemStats(&after)
	wantOneError(t, err, "p.csv:1", "64 KiB")
	if used := after.TotalAlloc - before.TotalAlloc; used > size/16 {
		t.Errorf("%d bytes used for a line of %d", used, size)
	}
}

// wrongLen is a reader whose Len is wrong.
type wrongLen struct {
	io.Reader
	n int
}

func (w wrongLen) Len() int { return w.n }

func TestReaderWithAnotherLengthIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("p, user:a, *, GET, /a, allow\n", 20_000)
	for _, n := range []int{-1, 0, 1, 30, len(text) - 1, len(text), len(text) + 1, 1 << 40} {
		rules, _, err := read("p.csv", wrongLen{strings.NewReader(text), n})
		if err != nil || len(rules) != 20_000 || rules[19_999].Line != 20_000 {
			t.Errorf("Len %d: %d rules, %v", n, len(rules), err)
		}
		_, _, err = read("p.csv", wrongLen{strings.NewReader(strings.Repeat("p", 1<<20)), n})
		wantOneError(t, err, "p.csv:1", "64 KiB")
	}
}

// Covers D7.
func TestFailedReadLoadsNothing(t *testing.T) {
	t.Parallel()
	r := io.MultiReader(strings.NewReader("p, group:Everybody, *, *, /*, allow\n"), iotest.ErrReader(errBroken))
	if e, err := policy.Load("p.csv", r); err == nil || e != nil {
		t.Error("half a file is loaded")
	}
}

// A policy truncated at any byte: a truncated rule never loads as another rule. A policy
// truncated between lines is a valid policy, so a program that watches files must prevent it.
// Covers D7.
func TestTruncatedFileNeverAllowsMore(t *testing.T) {
	t.Parallel()
	for n := range len(office) + 1 {
		text := office[:n]
		whole := strings.HasSuffix(text, "\n") || n == 0
		last := text[strings.LastIndex(text, "\n")+1:]
		e, err := policy.Load("p.csv", strings.NewReader(text))
		switch {
		case whole && err != nil:
			t.Errorf("cut at %d, after a line: %v", n, err)
		case !whole && strings.HasPrefix(last, "p") && err == nil && !hasAny(last, ", allow", ", deny"):
			t.Errorf("cut at %d: %q is a rule", n, last)
		case !whole && err == nil:
			// A truncated membership can name another group. Lint reports it.
			if !slices.ContainsFunc(e.Lint(), func(f configerror.Finding) bool { return strings.Contains(f.What, "no line end") }) && !strings.HasPrefix(last, "#") {
				t.Errorf("cut at %d: Lint does not report it: %q", n, last)
			}
		}
		if err == nil && allowed(t, e, "bob", "/orders/7") {
			t.Errorf("cut at %d: bob is allowed", n)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(office))
	f.Add([]byte("p,user:a,*,*,/*,allow\r\ng,user:a,group:b\r\n\r\n#\n"))
	f.Add([]byte("\uFEFFp, group:a, x, GET|POST, /{x}/*, deny"))
	f.Add([]byte("g, group:a, group:b\ng, group:b, group:a\n"))
	f.Add([]byte("p, user:a, *, BREW, *, allow\n"))
	f.Add([]byte("\r\n\x00\n\"\n,,,\np,\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := policy.Load("p.csv", bytes.NewReader(text))
		if err != nil {
			if e != nil {
				t.Fatal("Load returned an engine with an error")
			}
			if len(configerror.All(err)) == 0 {
				t.Fatalf("no configuration error in %v", err)
			}
			return
		}
		e.Lint()
		rules, members := e.Rules()
		if _, err := policy.New(rules, members); err != nil {
			t.Fatalf("New rejects what Load accepts: %v", err)
		}
		// The rules can be written, and load as the same rules.
		again, membersAgain, err := read("p.csv", strings.NewReader(write(rules, members)))
		if err != nil || len(again) != len(rules) || len(membersAgain) != len(members) {
			t.Fatalf("%q is not read back: %v", text, err)
		}
		for i := range again {
			again[i].Line = rules[i].Line
		}
		if !slices.Equal(again, rules) {
			t.Fatalf("%v became %v", rules, again)
		}
		// Casbin decides alike.
		enforcer, err := e.Enforcer()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules[:min(len(rules), 3)] {
			req := policy.Request{User: "a", Port: r.Port, Method: "GET", Path: strings.NewReplacer("{", "", "}", "", "/*", "/x").Replace(r.Path)}
			if name, ok := strings.CutPrefix(r.Subject, "user:"); ok {
				req.User = name
			}
			want, err := enforcer.Enforce("user:"+req.User, req.Port, req.Method, req.Path)
			if got := decide(t, e, req.User, req.Port, req.Method, req.Path).Allowed; err != nil || got != want {
				t.Fatalf("%+v: %v, Casbin %v, %v", req, got, want, err)
			}
		}
	})
}

func TestRulesNameOnlyExistingPorts(t *testing.T) {
	t.Parallel()
	rule := func(port string) []policy.Rule {
		return []policy.Rule{{Subject: "user:u", Port: port, Method: "*", Path: "/*", Effect: policy.Allow, File: "p.csv", Line: 9}}
	}
	for _, c := range []struct {
		port, parts string
		options     []policy.Option
	}{
		{"internal", "", nil},
		{"internal", "", []policy.Option{policy.WithPorts("public", "internal")}},
		{"*", "", []policy.Option{policy.WithPorts("public")}},
		{"*", "", []policy.Option{policy.WithPorts()}},
		{"intern", `no port "intern"…internal, public`, []policy.Option{policy.WithPorts("public", "internal")}},
		{"Internal", "no port", []policy.Option{policy.WithPorts("internal")}},
		{"internal", "no port", []policy.Option{policy.WithPorts()}},
		{"internal public", "not a name", nil},
	} {
		_, err := policy.New(rule(c.port), nil, c.options...)
		if c.parts != "" {
			wantOneError(t, err, "p.csv:9", c.parts)
		} else if err != nil {
			t.Error(err)
		}
	}
}

func TestPositionsWithoutFileOrLine(t *testing.T) {
	t.Parallel()
	r := policy.Rule{Subject: "user:u", Port: "*", Method: "*", Path: "/a", Effect: policy.Allow}
	other := r
	other.Subject = "user:other"
	for _, c := range []struct {
		file string
		line int
		want string
	}{{"", 0, "rule 2"}, {"", 7, "line 7"}, {"f", 7, "f:7"}, {"f", 0, "f rule 2"}} {
		r.File, r.Line = c.file, c.line
		if d := decide(t, mustNew(t, []policy.Rule{other, r}, nil), "u", "p", "GET", "/a"); d.Rule.String() != c.want {
			t.Errorf("%+v: %q, want %q", c, d.Rule, c.want)
		}
	}
	_, err := policy.New([]policy.Rule{r, {}}, []policy.Member{{}})
	if s := fmt.Sprint(err); !strings.Contains(s, "rule 2: the subject is empty") || !strings.Contains(s, "membership 1: the subject is empty") {
		t.Error(s)
	}
}
