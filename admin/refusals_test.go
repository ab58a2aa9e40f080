package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// problem is the answer to a refused request.
type problem struct{ Reference, Reason, Detail string }

// A caller's reference leads to the refusal, its certificate and the line that would alter it.
// Covers W6.
func TestReferenceLeadsToTheAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.client("alice")
	for _, row := range []struct {
		as, path, reason, stage string
		hint                    string
	}{
		{"bob", "/orders/7", "no-rule", "policy", "p, user:bob, internal, GET, /orders/7, allow"},
		{"bob", "/secret/7", "denied", "policy", "p, user:bob, internal, *, /secret/*, deny"},
		{"stranger", "/orders/7", "unmapped", "mapping", "id: stranger, user: stranger, fingerprint:"},
	} {
		res := s.do(s.client(row.as), "GET", "internal", row.path+"?token=secret", "")
		p := decodeAny[problem](t, res.body)
		got := decode[admin.Refusal](s, s.do(alice, "GET", "admin", "/api/v1/refusals/"+p.Reference, ""))
		if string(got.Reason) != row.reason || got.Stage != row.stage || got.Path != row.path || got.Port != "internal" || got.Fingerprint == "" || got.Remote == "" {
			t.Errorf("%s: got %+v, want reason %q at stage %q", row.as, got, row.reason, row.stage)
		}
		x := decode[explained](s, s.do(alice, "POST", "admin", "/api/v1/explain", `{"reference":"`+p.Reference+`"}`))
		if x.Reason != row.reason || x.Stage != row.stage {
			t.Errorf("%s: explain returned %+v, want reason %q at stage %q", row.as, x, row.reason, row.stage)
		}
		hints := ""
		for _, h := range x.Hints {
			hints += h.Write + "\n"
		}
		if !strings.Contains(hints, row.hint) {
			t.Errorf("%s: no %q in %q", row.as, row.hint, hints)
		}
		screen := s.do(alice, "GET", "admin", "/refusals/"+p.Reference, "")
		if screen.StatusCode != 200 || !strings.Contains(screen.body, row.hint) {
			t.Errorf("%s: %s\n%s", row.as, screen.Status, screen.body)
		}
		if strings.Contains(screen.body, "token") {
			t.Errorf("%s: the query is shown", row.as)
		}
	}
}

// A handshake that was refused has no answer with a reference; the list has one.
func TestRefusedHandshakeIsListed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if _, err := s.client("untrusted").Get("https://" + s.addr["internal"]); err == nil {
		t.Fatal("accepted")
	}
	alice := s.client("alice")
	var all []admin.Refusal
	testkit.Eventually(t, "the handshake is listed", func() bool {
		all = decode[[]admin.Refusal](s, s.do(alice, "GET", "admin", "/api/v1/refusals", ""))
		return len(all) == 1
	})
	r := all[0]
	if r.Stage != "handshake" || r.Reason != "unknown-authority" || !strings.HasPrefix(r.Reference, "handshake-") || r.Subject == "" {
		t.Errorf("got %+v, want a refused handshake with its subject", r)
	}
	x := decode[explained](s, s.do(alice, "POST", "admin", "/api/v1/explain", `{"reference":"`+r.Reference+`"}`))
	if x.Stage != "handshake" || x.Reason != string(r.Reason) {
		t.Errorf("explain returned %+v, want the reason of the handshake", x)
	}
}

// The answer is that of the current configuration: a refusal may be over.
func TestReferenceIsExplainedByTheCurrentConfiguration(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := decodeAny[problem](t, s.do(s.client("bob"), "GET", "internal", "/orders/7", "").body)
	s.put("policy.csv", sitePolicy+"p, user:bob, internal, GET, /orders/7, allow\n")
	if err := s.server.Reload(); err != nil {
		t.Fatal(err)
	}
	x := decode[explained](s, s.do(s.client("alice"), "POST", "admin", "/api/v1/explain", `{"reference":"`+p.Reference+`"}`))
	if !x.Allowed || !strings.Contains(x.Verdict, "It was refused at generation 1; now it is generation 2") {
		t.Errorf("got %s, want both generations in the verdict", x.Verdict)
	}
}

// Filters and pages of the list, and what is wrong with a query.
func TestRefusalsAreFilteredAndPaged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bob, stranger, alice := s.client("bob"), s.client("stranger"), s.client("alice")
	for range 3 {
		s.do(bob, "GET", "internal", "/orders/7", "")
		s.do(stranger, "GET", "internal", "/orders/7", "")
	}
	list := func(query string) []admin.Refusal {
		return decode[[]admin.Refusal](s, s.do(alice, "GET", "admin", "/api/v1/refusals"+query, ""))
	}
	print := list("?reason=unmapped")[0].Fingerprint
	for query, want := range map[string]int{
		"": 6, "?reason=unmapped": 3, "?user=bob": 3, "?port=internal": 6, "?port=public": 0, "?limit=2": 2, "?fingerprint=" + strings.ToUpper(print[:12]): 3,
		"?since=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339): 0,
	} {
		if got := list(query); len(got) != want {
			t.Errorf("%q: %d refusals, want %d", query, len(got), want)
		}
	}
	var seen []string
	for after := ""; ; {
		page := list("?limit=4" + after)
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			seen = append(seen, r.Reference)
		}
		after = "&after=" + itoa(page[len(page)-1].Sequence)
	}
	if len(seen) != 6 {
		t.Errorf("pages hold %d refusals: %q", len(seen), seen)
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?after=-1", "?reason=hunger", "?since=today"} {
		got := s.do(alice, "GET", "admin", "/api/v1/refusals"+query, "")
		if got.StatusCode != 422 || got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: got %s, want 422 with a problem document", query, got.Status)
		}
	}
	series := decode[admin.SeriesReport](s, s.do(alice, "GET", "admin", "/api/v1/series?minutes=60", ""))
	total := uint64(0)
	for _, x := range series.Series {
		for _, n := range x.Values {
			total += n
		}
	}
	if total != 6 || series.Step != 60 {
		t.Errorf("%d in %+v", total, series)
	}
}

// Names with control characters, or that turn the direction of writing, are escaped, and HTML in
// a path stays text.
// Covers W4.
func TestHostileTextsAreEscaped(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.client("alice")
	names := []string{"bidi-cn", "nul-cn", "newline-cn", "bmp-cn", "long-cn", "many-attributes", "many-sans", "huge-leaf", "reserved-default", "critical-extension"}
	for _, name := range names {
		res, err := s.client(name).Get("https://" + s.addr["internal"] + "/%3Cscript%3Ealert(1)%3C/script%3E%0A%E2%80%AE")
		if err == nil {
			res.Body.Close()
		}
	}
	s.do(s.client("bob"), "GET", "internal", "/%E2%80%AE%3Cb%3E", "") // one reading, decoded in the log
	evil := testpki.NewCA(`<img src=x onerror=alert(1)>`).Leaf("\u202e\x1b[31m<b>\"'")
	if _, err := testkit.Client(t, s.roots, evil).Get("https://" + s.addr["internal"]); err == nil {
		t.Error("accepted")
	}
	testkit.Eventually(t, "all are listed", func() bool {
		return len(decode[[]admin.Refusal](s, s.do(alice, "GET", "admin", "/api/v1/refusals", ""))) == len(names)+2
	})
	list := decode[[]admin.Refusal](s, s.do(alice, "GET", "admin", "/api/v1/refusals", ""))
	paths := []string{"/", "/refusals", "/api/v1/refusals"}
	for _, r := range list {
		paths = append(paths, "/refusals/"+r.Reference, "/explain?reference="+r.Reference, "/api/v1/refusals/"+r.Reference)
	}
	for _, path := range paths {
		got := s.do(alice, "GET", "admin", path, "")
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s: %s\n%s", path, got.Status, got.body)
		}
		for _, raw := range []string{"<script>alert", "<img", "<b>", "\u202e", "\x1b", "\x00"} {
			if strings.Contains(got.body, raw) {
				t.Errorf("%s holds %q", path, raw)
			}
		}
	}
}
