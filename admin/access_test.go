package admin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/admin"
)

// paths are the screens and the reads of the API.
var reads = []string{
	"/", "/ports", "/ports/internal", "/connections", "/mappings", "/mappings/staff", "/refusals", "/explain", "/trust", "/changes", "/lint",
	"/static/admin.css", "/static/admin.js", "/static/icon.svg",
	"/api/v1/status", "/api/v1/ports", "/api/v1/ports/internal", "/api/v1/connections", "/api/v1/mappings", "/api/v1/mappings/staff",
	"/api/v1/refusals", "/api/v1/series", "/api/v1/trust", "/api/v1/changes", "/api/v1/lint",
}

// The policy decides who may use the page, and the user Default may do nothing. Covers W1, W2.
func TestPolicyDecidesWhoMayUseThePage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, carol, bob, nobody := s.client("alice"), s.client("carol"), s.client("bob"), s.client("")
	for _, path := range reads {
		for _, row := range []struct {
			user   string
			client *http.Client
			port   string
			want   int
		}{{"an admin", alice, "admin", 200}, {"an auditor", carol, "admin", 200}, {"a user without a right", bob, "admin", 403}, {"Default", nobody, "public", 403}} {
			if got := s.do(row.client, "GET", row.port, path, ""); got.StatusCode != row.want {
				t.Errorf("%s: GET %s: %s, want %d\n%s", row.user, path, got.Status, row.want, got.body)
			}
		}
	}
	for path, body := range map[string]string{"/api/v1/explain": `{"port":"internal","path":"/orders/7"}`, "/api/v1/inspect": string(pairOf(t, "alice").CertPEM())} {
		for client, want := range map[*http.Client]int{alice: 200, carol: 200, bob: 403} {
			if got := s.do(client, "POST", "admin", path, body); got.StatusCode != want {
				t.Errorf("POST %s: %s, want %d\n%s", path, got.Status, want, got.body)
			}
		}
		if got := s.do(nobody, "POST", "public", path, body); got.StatusCode != 403 {
			t.Errorf("POST %s as Default: %s", path, got.Status)
		}
	}
	for client, want := range map[*http.Client]bool{alice: true, carol: false} {
		me := decode[admin.StatusReport](s, s.do(client, "GET", "admin", "/api/v1/status", "")).Me
		if me.MayEdit != want || me.Mapping != "staff" {
			t.Errorf("%+v, want may_edit %t", me, want)
		}
	}
}

// Without a guard no caller would be authenticated. Covers W1.
func TestPageWithoutGuardRefuses(t *testing.T) {
	t.Parallel()
	page, err := admin.New(admin.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range reads {
		w := httptest.NewRecorder()
		page.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 500 || !strings.Contains(w.Body.String(), "no guard") {
			t.Errorf("%s: got %d %s, want 500 without a guard", path, w.Code, w.Body)
		}
	}
}

// Every answer, refusals too, has the headers that keep other sites and scripts out.
// Covers W4.
func TestEveryAnswerHasTheHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.client("alice")
	for _, path := range append(reads, "/nothing", "/refusals/none", "/api/v1/refusals/none") {
		h := s.do(alice, "GET", "admin", path, "").Header
		if got := h.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'; ") || !strings.Contains(got, "trusted-types 'none'") {
			t.Errorf("%s: the Content-Security-Policy is %q", path, got)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin"} {
			if h.Get(name) != want {
				t.Errorf("%s: %s: got %q, want %q", path, name, h.Get(name), want)
			}
		}
		if got := h.Get("Cache-Control"); got != "no-store" && !strings.HasPrefix(path, "/static/") {
			t.Errorf("%s: Cache-Control: %q", path, got)
		}
		if h.Get("Set-Cookie") != "" {
			t.Errorf("%s: a cookie", path)
		}
	}
}

// A browser adds the certificate to what another site sends, too.
// Covers W3.
func TestRequestsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.client("alice")
	for _, row := range []struct {
		header, value string
		want          int
	}{
		{"Sec-Fetch-Site", "cross-site", 403},
		{"Sec-Fetch-Site", "same-site", 403},
		{"Origin", "https://other.example", 403},
		{"Sec-Fetch-Site", "same-origin", 200},
		{"Sec-Fetch-Site", "none", 200},
		{"Accept", "*/*", 200}, // curl
	} {
		got := s.do(alice, "POST", "admin", "/api/v1/explain", `{"port":"internal"}`, row.header, row.value)
		if got.StatusCode != row.want {
			t.Errorf("%s: %s: got %s, want %d", row.header, row.value, got.Status, row.want)
		}
		if row.want == 403 && got.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: the refusal is %s, want a problem document", row.value, got.Header.Get("Content-Type"))
		}
	}
}
