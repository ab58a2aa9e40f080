package e2e

import (
	"net/http"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/reason"
)

// A wrong password is not a missing certificate: it has a counter of its own, and its line
// names the user as sent, escaped.
func TestWrongPasswordIsLoggedWithTheUserThatWasSent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "strict: false", "strict: true")
	basic := middleware.Basic{Realm: "orders", Check: middleware.Passwords(map[string]string{"carol": "secret"})}
	l := s.start(mtlsguard.Options{Authenticators: map[string][]middleware.Authenticator{"public": {basic}}})
	client := s.client(nil)
	get := func(path, user, password string) int {
		r, err := http.NewRequest(http.MethodGet, l.url("public", path), nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for _, row := range []struct {
		path, user, password string
		code                 int
		reason, logged       string
	}{
		{"/1", "carol", "guess", 401, "bad-credentials", "carol"},
		{"/2", "dave", "guess", 401, "bad-credentials", "dave"},
		{"/3", "x\ny\x1b[31m\u202e", "guess", 401, "bad-credentials", `x\ny\x1b[31m\u202e`},
		{"/4", "", "", 401, "no-certificate", ""},
		{"/whoami", "carol", "secret", 200, "", "carol"},
	} {
		if got := get(row.path, row.user, row.password); got != row.code {
			t.Errorf("%s: %d, want %d", row.path, got, row.code)
		}
		testkit.Eventually(t, "the line of "+row.path, func() bool { return len(l.log.find("event", "decision", "path", row.path)) == 1 })
		line := l.log.find("event", "decision", "path", row.path)[0]
		user, _ := line["user"].(string)
		why, _ := line["reason"].(string)
		if user != row.logged || why != row.reason {
			t.Errorf("%s: logged %v, want user %q and reason %q", row.path, line, row.logged, row.reason)
		}
	}
	refused := status(l, "public").Refused
	if refused[reason.BadCredentials] != 3 || refused[reason.NoCertificate] != 1 {
		t.Errorf("counted %v", refused)
	}
}
