package main

import (
	"fmt"
	"strings"
	"testing"
)

// A name in wrong credentials is only claimed: it neither hides the lines of the user who has
// it, nor makes the request one of the user Default.
// Covers L17.
func TestClaimedNameHidesNoLinesOfTheUser(t *testing.T) {
	site := serveLogged(t)
	site.request("internal", "bob", "GET", "/orders/1")
	text := site.text()
	for _, user := range []string{"bob", "Default"} {
		text += fmt.Sprintf(`{"time":"2999-01-01T00:00:00Z","event":"decision","outcome":"refuse","reason":"bad-credentials","port":"public","user":"%s","method":"GET","path":"/whoami","reference":"%s"}`+"\n", user, user)
	}
	put(t, "server.log", text)
	if x := explainRequest(t, []string{"--log", "server.log", "--user", "bob"}); x.Reason != "denied" || x.User != "bob" {
		t.Errorf("got %+v, want bob, denied", x)
	}
	for _, user := range []string{"bob", "Default"} {
		if x := explainRequest(t, []string{"--log", "server.log", "--reference", user}); x.Reason != "bad-credentials" || x.User != "" || x.Allowed || x.Log.Changed {
			t.Errorf("%s: got %+v, want bad-credentials without a user", user, x)
		}
	}
}

// A file in which each line has another reason is counted in bounded memory.
// Covers L17.
func TestKindsOfLinesAreBounded(t *testing.T) {
	t.Chdir(t.TempDir())
	var text strings.Builder
	for i := range 2 * maxKinds {
		fmt.Fprintf(&text, `{"time":"2026-01-31T08:00:00Z","event":"decision","outcome":"refuse","reason":"%d%s"}`+"\n", i, strings.Repeat("x", 1000))
	}
	put(t, "server.log", text.String())
	_, out, _ := runLine(t, "log server.log --refused")
	_, counts, _ := strings.Cut(out, fmt.Sprintf("\n%d lines\n", 2*maxKinds))
	if n := strings.Count(counts, "\n"); n != maxKinds+1 || !strings.Contains(counts, fmt.Sprintf("  %d  other\n", maxKinds)) || len(counts) > 200*maxKinds {
		t.Errorf("%d kinds\n%s", n, counts)
	}
}
