package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// token is an authenticator that reads one header.
type token struct {
	header string
	answer func(value string) (string, error)
}

func (a token) Authenticate(r *http.Request) (string, error) {
	if v := r.Header.Get(a.header); v != "" {
		return a.answer(v)
	}
	return "", nil
}

var basic = middleware.Basic{Realm: "orders", Check: middleware.Passwords(map[string]string{"carol": "secret", "empty": "", "Default": "x", "user:x": "x"})}

func credentials(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// Covers L1.
func TestAuthenticatorsAreCalledInOrder(t *testing.T) {
	t.Parallel()
	first := token{"First", func(v string) (string, error) { return v, nil }}
	second := token{"Second", func(v string) (string, error) {
		if v == "bad" {
			return "carol", &middleware.CredentialsError{} // an error means no, also with a user
		}
		return v, nil
	}}
	strict, lax, open := newPort(t, "strict", ports.Request), newPort(t, "lax", ports.Request), newPort(t, "open", ports.None)
	list := []middleware.Authenticator{first, second, basic}
	guard := newGuard(t, func(c *middleware.Config) {
		c.PerPort = map[string]middleware.PortConfig{
			"strict": {Authenticators: list},
			"lax":    {Authenticators: list, Fallback: middleware.ToDefault},
			"open":   {Authenticators: list},
		}
	})
	for i := range list {
		list[i] = nil // the guard has its own copy
	}
	serve(t, guard.Handler(echo), strict, lax, open)
	for _, x := range []struct {
		name   string
		change []func(*http.Request)
		strict string // user, or "" for 401
		lax    string
	}{
		{"no credentials", nil, "", "Default"},
		{"first", []func(*http.Request){header("First", "a"), header("Second", "b")}, "a", "a"},
		{"second", []func(*http.Request){header("Second", "b")}, "b", "b"},
		{"an error ends it", []func(*http.Request){header("Second", "bad"), credentials("carol", "secret")}, "", ""},
		{"the first with a user wins over a later error", []func(*http.Request){header("First", "a"), header("Second", "bad")}, "a", "a"},
		{"right password", []func(*http.Request){credentials("carol", "secret")}, "carol", "carol"},
		{"wrong password", []func(*http.Request){credentials("carol", "Secret")}, "", ""},
		{"no password", []func(*http.Request){credentials("carol", "")}, "", ""},
		{"a user whose password is empty", []func(*http.Request){credentials("empty", "")}, "", ""},
		{"unknown user", []func(*http.Request){credentials("dave", "secret")}, "", ""},
		{"reserved by password", []func(*http.Request){credentials("Default", "x")}, "", ""},
		{"a policy subject as the user", []func(*http.Request){credentials("user:x", "x")}, "", ""},
		{"no user", []func(*http.Request){credentials("", "x")}, "", ""},
		{"garbled", []func(*http.Request){header("Authorization", "Basic !!!")}, "", ""},
		{"Basic alone", []func(*http.Request){header("Authorization", "basic")}, "", ""},
		{"a tab", []func(*http.Request){header("Authorization", "Basic\tY2Fyb2w6c2VjcmV0")}, "", ""},
		{"twice", []func(*http.Request){credentials("carol", "secret"), header("Authorization", "Basic Y2Fyb2w6c2VjcmV0")}, "", ""},
		{"after another scheme", []func(*http.Request){header("Authorization", "Bearer x"), header("Authorization", "Basic Y2Fyb2w6d3Jvbmc=")}, "", ""},
		{"another scheme alone", []func(*http.Request){header("Authorization", "Bearer x")}, "", "Default"},
		{"scheme in any case", []func(*http.Request){header("Authorization", "bAsIc Y2Fyb2w6c2VjcmV0")}, "carol", "carol"},
	} {
		for port, want := range map[*ports.Port]string{strict: x.strict, lax: x.lax, open: x.strict} {
			for _, h2 := range []bool{false, true} {
				s := dial(t, port, nil, h2).get("/x", x.change...)
				if want != "" {
					s.wantUser(t, want)
					continue
				}
				why := reason.BadCredentials
				if x.lax == "Default" { // no known credentials
					why = reason.NoCertificate
				}
				s.want(t, 401, why)
				if got := s.Answer["Www-Authenticate"]; !slices.Equal(got, []string{`Basic realm="orders", charset="UTF-8"`}) {
					t.Errorf("%s: the challenge is %q", x.name, got)
				}
				if t.Failed() {
					t.Fatal(x.name, port.Name())
				}
			}
		}
	}
}

// Covers L1.
func TestAuthenticatorCannotReturnAReservedName(t *testing.T) {
	t.Parallel()
	port := newPort(t, "p", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Fallback = middleware.ToDefault
		c.Authenticators = []middleware.Authenticator{token{"Token", func(v string) (string, error) { return strings.Trim(v, "'"), nil }}}
	})
	serve(t, guard.Handler(echo), port)
	c := dial(t, port, nil, false)
	for _, name := range []string{"Default", "default", "DEFAULT", "Everybody", "authenticated", "Anonymous", "group:x", "user:x", "a b", "-a", "é", strings.Repeat("a", 129), "' '"} {
		c.get("/x", header("Token", name)).want(t, 403, reason.NoCertificate)
	}
	c.get("/x", header("Token", "''")).wantUser(t, "Default") // no opinion
	if s := c.get("/x", header("Token", strings.Repeat("a", 128))); s.Code != 200 || s.Via != identity.Authenticator || !slices.Contains(s.Groups, "Authenticated") {
		t.Errorf("got %+v, want a user by the authenticator", s)
	}
}

// Covers L1.
func TestPasswordNeverReplacesACertificate(t *testing.T) {
	t.Parallel()
	request, require := newPort(t, "request", ports.Request), newPort(t, "require", ports.Require)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Fallback = middleware.ToDefault
		c.Authenticators = []middleware.Authenticator{basic}
		c.Policy = newPolicy(t, "p, user:carol, *, *, /*, allow", "p, user:alice, *, *, /*, allow")
	})
	serve(t, guard.Handler(echo), request, require)
	for _, port := range []*ports.Port{request, require} {
		for holder, why := range map[string]reason.Reason{"unmapped": reason.Unmapped, "both": reason.Ambiguous, "bob": reason.NoRule} {
			for _, h2 := range []bool{false, true} {
				s := dial(t, port, shared().pairs[holder], h2).get("/x", credentials("carol", "secret"))
				s.want(t, 403, why)
				if s.Answer.Get("WWW-Authenticate") != "" {
					t.Error("a challenge to a client with a certificate")
				}
			}
		}
		dial(t, port, shared().alice, true).get("/x", credentials("carol", "wrong")).wantUser(t, "alice")
		for _, holder := range []string{"untrusted", "expired"} {
			if _, err := dial(t, port, shared().pairs[holder], false).do("GET", "/x", credentials("carol", "secret")); err == nil {
				t.Errorf("%s: the handshake succeeded", holder)
			}
		}
	}
	c := dial(t, request, nil, true)
	c.get("/x", credentials("carol", "secret")).wantUser(t, "carol")
	// Default is denied, so the client may authenticate.
	c.get("/x").want(t, 401, reason.NoRule)
}

// Covers L1.
func TestChallengeOnlyWhereConfigured(t *testing.T) {
	t.Parallel()
	with, without := newPort(t, "with", ports.Request), newPort(t, "without", ports.Request)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, user:carol, *, *, /x, allow")
		c.PerPort = map[string]middleware.PortConfig{
			"with":    {Authenticators: []middleware.Authenticator{token{"T", func(string) (string, error) { return "", errors.New("down") }}, basic}},
			"without": {Authenticators: []middleware.Authenticator{token{"T", func(v string) (string, error) { return v, nil }}}},
		}
	})
	serve(t, guard.Handler(echo), with, without)
	c := dial(t, without, nil, false)
	c.get("/x").want(t, 403, reason.NoCertificate)
	c.get("/x", credentials("carol", "secret")).want(t, 403, reason.NoCertificate)
	c = dial(t, with, nil, false)
	c.get("/x", header("T", "x")).want(t, 401, reason.BadCredentials)
	c.get("/x", credentials("carol", "secret")).wantUser(t, "carol")
	c.get("/y", credentials("carol", "secret")).want(t, 403, reason.NoRule) // an identified user gets no challenge
	if s := dialRaw(t, with, nil, "http/1.1").send("GET /a%2fb HTTP/1.1\r\nHost: x\r\n\r\n"); s.Code != 400 {
		t.Errorf("answered %d, want 400", s.Code)
	}
}

func TestBasic(t *testing.T) {
	t.Parallel()
	r := must[*http.Request](t)(http.NewRequest("GET", "/", nil))
	r.SetBasicAuth("carol", "secret")
	if user, err := (middleware.Basic{}).Authenticate(r); user != "" || !isWrongCredentials(err) {
		t.Errorf("without Check: %q, %v", user, err)
	}
	down := errors.New("down")
	b := middleware.Basic{Realm: "a\"b\\c\r\nX: y\x7fé", Check: func(context.Context, string, string) (bool, error) { return true, down }}
	if user, err := b.Authenticate(r); user != "" || !errors.Is(err, down) {
		t.Errorf("with an error: %q, %v", user, err)
	}
	if got := b.Challenge(); got != `Basic realm="abcX: y", charset="UTF-8"` {
		t.Errorf("the challenge is %q, want %q", got, `Basic realm="abcX: y", charset="UTF-8"`)
	}
}

func TestPasswordsAreCompared(t *testing.T) {
	t.Parallel()
	passwords := map[string]string{"carol": "secret", "empty": ""}
	check := middleware.Passwords(passwords)
	passwords["carol"] = "changed"
	for _, x := range []struct {
		user, password string
		right          bool
	}{
		{"carol", "secret", true}, {"carol", "changed", false}, {"carol", "", false}, {"carol", "secret ", false}, {"empty", "", false}, {"dave", "", false}, {"", "", false},
	} {
		if right, err := check(context.Background(), x.user, x.password); right != x.right || err != nil {
			t.Errorf("%q %q: got %t, %v; want %t", x.user, x.password, right, err, x.right)
		}
	}
}

func Example_basic() {
	b := middleware.Basic{Realm: "orders", Check: middleware.Passwords(map[string]string{"robot": "a long random text"})}
	r, _ := http.NewRequest("GET", "https://api.example/", nil)
	user, err := b.Authenticate(r)
	fmt.Printf("%q %v\n", user, err) // no user and no error: the guard calls the next one
	r.SetBasicAuth("robot", "a guess")
	user, err = b.Authenticate(r)
	fmt.Printf("%q %v\n", user, err)
	// Output:
	// "" <nil>
	// "" the credentials are wrong
}

// The name beside a wrong password is in the outcome unchanged, and identifies no user.
func TestWrongCredentialsNameTheUserThatWasSent(t *testing.T) {
	t.Parallel()
	var rec recorder
	with, without := newPort(t, "with", ports.Request), newPort(t, "without", ports.None)
	other := token{"Token", func(v string) (string, error) {
		switch v {
		case "of mallory":
			return "", fmt.Errorf("token: %w", &middleware.CredentialsError{User: "mallory"})
		case "beside":
			return "carol", &middleware.CredentialsError{} // the name beside an error means nothing
		case "nil":
			return "", (*middleware.CredentialsError)(nil)
		}
		return "", errors.New("down")
	}}
	guard := newGuard(t, func(c *middleware.Config) {
		c.Observe = rec.observe
		c.PerPort = map[string]middleware.PortConfig{
			"with":    {Authenticators: []middleware.Authenticator{other, basic}, Fallback: middleware.ToDefault},
			"without": {Authenticators: []middleware.Authenticator{other}},
		}
	})
	serve(t, guard.Handler(echo), with, without)
	for _, x := range []struct {
		name   string
		port   *ports.Port
		change func(*http.Request)
		user   string
	}{
		{"wrong password", with, credentials("carol", "guess"), "carol"},
		{"unknown user", with, credentials("mallory", "guess"), "mallory"},
		{"no user name", with, credentials("a b\n\x1b[31m", "guess"), "a b\n\x1b[31m"},
		{"reserved", with, credentials("Default", "x"), "Default"},
		{"malformed", with, header("Authorization", "Basic !!!"), ""},
		{"a token of a user", with, header("Token", "of mallory"), "mallory"},
		{"a token of a user, without a challenge", without, header("Token", "of mallory"), "mallory"},
		{"a name beside an error", with, header("Token", "beside"), ""},
		{"a nil error", with, header("Token", "nil"), ""},
		{"down", without, header("Token", "x"), ""},
	} {
		s := dial(t, x.port, nil, true).get("/x", x.change)
		s.want(t, 401, reason.BadCredentials)
		if got := s.Answer.Get("WWW-Authenticate") != ""; got != (x.port == with) {
			t.Errorf("%s: a challenge is %t, want %t", x.name, got, (x.port == with))
		}
		if x.user != "" && strings.Contains(string(s.Body), x.user) {
			t.Errorf("%s: the answer has the name: %s", x.name, s.Body)
		}
		got := rec.take()
		if len(got) != 1 || got[0].ClaimedUser != x.user || got[0].Identity != nil || got[0].Reason != reason.BadCredentials {
			t.Errorf("%s: %+v, want %q", x.name, got, x.user)
		}
	}
	dial(t, with, nil, true).get("/x", credentials("carol", "secret")).wantUser(t, "carol")
	if got := rec.take(); got[0].ClaimedUser != "" {
		t.Errorf("a name beside a right password: %+v", got)
	}
}

func isWrongCredentials(err error) bool {
	_, ok := errors.AsType[*middleware.CredentialsError](err)
	return ok
}
