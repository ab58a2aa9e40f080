package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
)

// siteFiles are the files of a site, and whether a truncated one is always rejected. A
// truncated PEM file is; a truncated text may be a valid shorter one.
var siteFiles = []struct {
	name string
	pem  bool
}{
	{"mtlsguard.yaml", false}, {"users.yaml", false}, {"policy.csv", false},
	{"ca.pem", true}, {"ca.crl", true}, {"server.pem", true}, {"server-key.pem", true},
}

var probes = []struct{ user, port, path string }{
	{"alice", "internal", "/whoami"}, {"alice", "internal", "/orders/1"}, {"bob", "internal", "/orders/1"},
	{"bob", "public", "/whoami"}, {"", "public", "/whoami"}, {"", "public", "/orders/1"},
}

// No file in any bad state allows a request: the last good configuration stays in effect, a
// WARN names the file, and the corrected file is loaded.
// Covers I1.
func TestCorruptFileKeepsTheLastGoodState(t *testing.T) {
	t.Parallel()
	for _, file := range siteFiles {
		t.Run(file.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			l := s.start(mtlsguard.Options{})
			good := s.get(file.name)
			clients := map[string]*http.Client{"alice": s.client(s.alice), "bob": s.client(s.bob), "": s.client(nil)}
			state := func() (out []string) {
				for _, p := range probes {
					out = append(out, get(clients[p.user], l.url(p.port, p.path)))
				}
				return out
			}
			before := state()
			corrupt := func(name string, must bool, spoil func()) {
				t.Helper()
				logged := len(l.log.find("level", "WARN", "event", "reload", "outcome", "failed", "file", s.path(file.name)))
				spoil()
				err := l.server.Reload()
				after := state()
				switch {
				case err == nil && must:
					t.Errorf("%s: loaded", name)
				case err == nil: // a shorter text: it must allow no request that was refused before
					for i := range after {
						if strings.HasPrefix(after[i], "200") && after[i] != before[i] {
							t.Errorf("%s: %v %s before, %s after", name, probes[i], before[i], after[i])
						}
					}
				case fmt.Sprint(after) != fmt.Sprint(before):
					t.Errorf("%s: %v before, %v after", name, before, after)
				case len(l.log.find("level", "WARN", "event", "reload", "outcome", "failed", "file", s.path(file.name))) == logged:
					t.Errorf("%s: no WARN names the file: %v", name, err)
				}
				os.Remove(s.path(file.name))
				s.put(file.name, good)
				if err := l.server.Reload(); err != nil {
					t.Fatalf("%s: the corrected file does not load: %v", name, err)
				}
			}
			write := func(content string) func() { return func() { s.put(file.name, content) } }
			corrupt("empty", true, write(""))
			corrupt("garbage", true, write("\x00\x01\x02 garbage\n\xff"))
			corrupt("another type", true, write(map[bool]string{true: "mappings: []\n", false: s.get("ca.pem")}[file.pem]))
			corrupt("binary before", true, write("\x7fELF"+good))
			for _, irregular := range []struct {
				name string
				put  func(string) error
			}{{"missing", none}, {"directory", folder}, {"pipe", fifo}, {"loop", loop}, {"10 GiB", sparse}} {
				corrupt(irregular.name, true, func() { without(file.name, irregular.put)(s) })
			}
			if os.Getuid() != 0 {
				corrupt("unreadable", true, func() { os.Chmod(s.path(file.name), 0) })
			}
			for n := 64; n < len(good)-1; n += 64 {
				corrupt(fmt.Sprintf("cut off after %d of %d bytes", n, len(good)), file.pem, write(good[:n]))
			}
			if fmt.Sprint(state()) != fmt.Sprint(before) {
				t.Errorf("in the end %v, in the beginning %v", state(), before)
			}
		})
	}
}

// A server that starts with an empty policy denies every request and logs a warning. A reload
// of another file is not an error then. A reload that empties a policy is.
func TestEmptyPolicyDeniesEverything(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("policy.csv", "")
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	expect := func(want string) {
		t.Helper()
		if got := get(alice, l.url("internal", "/whoami")); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	expect("403 no-rule")
	if len(l.log.find("level", "WARN", "error", "everything is denied")) != 1 {
		t.Error("no warning")
	}
	s.sub("users.yaml", "user: alice", "user: alicia")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	s.put("policy.csv", sitePolicy)
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	expect("200 alicia")
	s.put("policy.csv", "")
	if err := l.server.Reload(); err == nil {
		t.Error("a policy that has become empty is loaded")
	}
	expect("200 alicia")
}
