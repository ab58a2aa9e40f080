package admin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/admin"
)

func editing(c *admin.Config) { c.Edit = true }

// edited is what tests read of the answer to an edit.
type edited struct {
	Generation uint64
	ETag, File string
	Written    bool
	Line       string
}

func (s *site) users() string {
	data, err := os.ReadFile(filepath.Join(s.dir, "users.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	return string(data)
}

// A certificate that was refused becomes a user, is disabled, ended and removed, each in effect
// with the answer.
// Covers W10.
func TestMappingsAreEdited(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice, stranger := s.client("alice"), s.client("stranger")
	if got := s.do(stranger, "GET", "public", "/", ""); got.StatusCode != 403 || !strings.Contains(got.body, "unmapped") {
		t.Fatal(got.Status, got.body)
	}
	etag := s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag")
	body, _ := json.Marshal(map[string]any{"user": "newcomer", "certificate_pem": string(pairOf(t, "stranger").CertPEM()), "by": "spki"})
	dry := decode[edited](s, s.do(alice, "POST", "admin", "/api/v1/mappings?dry_run=1", string(body), "If-Match", etag))
	if dry.Written || dry.ETag != etag || !strings.Contains(dry.Line, "newcomer") || s.users() != siteUsers {
		t.Errorf("a dry run returned %+v, or wrote", dry)
	}
	added := decode[edited](s, s.do(alice, "POST", "admin", "/api/v1/mappings", string(body), "If-Match", etag))
	if !added.Written || added.Generation != 2 || added.ETag == etag || !strings.Contains(s.users(), "newcomer") {
		t.Errorf("got %+v, want newcomer in generation 2", added)
	}
	// The page refuses the user for want of a rule on port admin: but the certificate has a user.
	if got := s.do(stranger, "GET", "admin", "/", ""); !strings.Contains(got.body, "no-rule") {
		t.Errorf("got %s %s, want no-rule", got.Status, got.body)
	}
	off := decode[edited](s, s.do(alice, "PATCH", "admin", "/api/v1/mappings/newcomer", `{"disabled":true}`, "If-Match", added.ETag))
	if got := s.do(stranger, "GET", "admin", "/", ""); off.Generation != 3 || !strings.Contains(got.body, "unmapped") {
		t.Errorf("got %+v %s, want generation 3 and unmapped", off, got.body)
	}
	ended := decode[edited](s, s.do(alice, "PATCH", "admin", "/api/v1/mappings/newcomer", `{"disabled":false,"not_after":"2026-01-31"}`, "If-Match", off.ETag))
	if got := s.do(stranger, "GET", "admin", "/", ""); !strings.Contains(got.body, "mapping-expired") {
		t.Errorf("got %s, want mapping-expired", got.body)
	}
	removed := decode[edited](s, s.do(alice, "DELETE", "admin", "/api/v1/mappings/newcomer", "", "If-Match", ended.ETag))
	if s.users() != siteUsers || removed.Generation != 5 || removed.ETag != etag {
		t.Errorf("%+v\n%s", removed, s.users())
	}
}

// Nothing is written without the ETag of what the editor has seen, without a right, or if the
// loader refuses it, or if the editor could not undo it.
// Covers W10.
func TestEditsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice, carol := s.client("alice"), s.client("carol")
	etag := s.do(alice, "GET", "admin", "/api/v1/mappings/old", "").Header.Get("ETag")
	stale := `"` + strings.Repeat("0", 64) + `"`
	add := func(fields map[string]any) string {
		body, _ := json.Marshal(fields)
		return string(body)
	}
	own := string(pairOf(t, "alice").CertPEM())
	for _, row := range []struct {
		name, method, path, body, match string
		client                          *http.Client
		status                          int
		detail                          string
	}{
		{"no ETag", "PATCH", "/old", `{"disabled":false}`, "", alice, 428, "If-Match is missing"},
		{"any ETag", "PATCH", "/old", `{"disabled":false}`, "*", alice, 422, "not an ETag"},
		{"a stale ETag", "PATCH", "/old", `{"disabled":false}`, stale, alice, 412, "changed in the meantime"},
		{"a stale ETag, to remove", "DELETE", "/old", "", stale, alice, 412, "changed in the meantime"},
		{"an auditor", "PATCH", "/old", `{"disabled":false}`, etag, carol, 403, ""},
		{"an auditor, to remove", "DELETE", "/old", "", etag, carol, 403, ""},
		{"an auditor, to add", "POST", "", add(map[string]any{"user": "x", "certificate_pem": own}), etag, carol, 403, ""},
		{"no date", "PATCH", "/old", `{"not_after":"tomorrow"}`, etag, alice, 422, "tomorrow"},
		{"no such mapping", "PATCH", "/none", `{"disabled":true}`, etag, alice, 422, "none"},
		{"an unknown field", "PATCH", "/old", `{"user":"root"}`, etag, alice, 400, "user"},
		{"a reserved user", "POST", "", add(map[string]any{"user": "Default", "certificate_pem": own}), etag, alice, 422, "Default"},
		{"no user", "POST", "", add(map[string]any{"certificate_pem": own}), etag, alice, 422, ""},
		{"an unknown kind", "POST", "", add(map[string]any{"user": "x", "certificate_pem": own, "by": "color"}), etag, alice, 422, "color"},
		{"a line end", "POST", "", add(map[string]any{"user": "x", "certificate_pem": own, "id": "a\n  - {id: b}"}), etag, alice, 422, ""},
		{"no certificate", "POST", "", add(map[string]any{"user": "x"}), etag, alice, 422, "not a certificate"},
		{"the mapping of the editor, disabled", "PATCH", "/staff", `{"disabled":true}`, etag, alice, 409, "would not be user alice"},
		{"the mapping of the editor, removed", "DELETE", "/staff", "", etag, alice, 409, "would not be user alice"},
		{"the mapping of the editor, ended", "PATCH", "/staff", `{"not_after":"2026-01-31"}`, etag, alice, 409, "would not be user alice"},
		{"the editor's certificate for another user", "POST", "", add(map[string]any{"user": "x", "certificate_pem": own}), etag, alice, 409, "would not be user alice"},
	} {
		got := s.do(row.client, row.method, "admin", "/api/v1/mappings"+row.path, row.body, "If-Match", row.match)
		if got.StatusCode != row.status || !strings.Contains(got.body, row.detail) || strings.Contains(got.body, "--by") || !strings.HasPrefix(got.Header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s: got %s %s, want %d %q", row.name, got.Status, got.body, row.status, row.detail)
		}
		if row.status == 412 && got.Header.Get("ETag") != etag {
			t.Errorf("%s: the current ETag is missing", row.name)
		}
		if s.users() != siteUsers {
			t.Fatalf("%s: the users were changed:\n%s", row.name, s.users())
		}
	}
	out := decode[edited](s, s.do(alice, "PATCH", "admin", "/api/v1/mappings/staff?lock_me_out=1&dry_run=1", `{"disabled":true}`, "If-Match", etag))
	if out.Written {
		t.Errorf("a dry run wrote: %+v", out)
	}
	s.put("policy.csv", "nonsense\n")
	if got := s.do(alice, "PATCH", "admin", "/api/v1/mappings/old", `{"disabled":false}`, "If-Match", etag); got.StatusCode != 409 || !strings.Contains(got.body, "is written, and not in effect") || s.users() == siteUsers {
		t.Errorf("with another file that does not load: %s %s", got.Status, got.body)
	}
	without := newSite(t)
	if got := without.do(without.client("alice"), "PATCH", "admin", "/api/v1/mappings/old", `{"disabled":false}`, "If-Match", etag); got.StatusCode != 403 || !strings.Contains(got.body, "does not edit") {
		t.Errorf("without Config.Edit: %s", got.Status)
	}
}

// The form of a mapping works without a script, and only for those who may.
// Covers W10.
func TestMappingFormIsForEditors(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice, carol := s.client("alice"), s.client("carol")
	page := s.do(alice, "GET", "admin", "/mappings/old", "").body
	_, rest, ok := strings.Cut(page, `name="etag" value="`)
	if !ok {
		t.Fatal(page)
	}
	etag, _, _ := strings.Cut(rest, `">`)
	etag = strings.ReplaceAll(etag, "&#34;", `"`)
	if strings.Contains(s.do(carol, "GET", "admin", "/mappings/old", "").body, `name="etag"`) {
		t.Error("an auditor sees the form")
	}
	send := func(c *http.Client, fields url.Values) *answer {
		return s.do(c, "POST", "admin", "/mappings/old/edit", fields.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	}
	for _, row := range []struct {
		client *http.Client
		fields url.Values
		status int
	}{
		{carol, url.Values{"what": {"enable"}, "etag": {etag}}, 403},
		{alice, url.Values{"what": {"enable"}}, 428},
		{alice, url.Values{"what": {"erase"}, "etag": {etag}}, 422},
		{alice, url.Values{"what": {"end"}, "etag": {etag}, "last_day": {"soon"}}, 422},
	} {
		if got := send(row.client, row.fields); got.StatusCode != row.status {
			t.Errorf("%v: %s\n%s", row.fields, got.Status, got.body)
		}
	}
	if s.users() != siteUsers {
		t.Fatal(s.users())
	}
	if got := send(alice, url.Values{"what": {"enable"}, "etag": {etag}}); got.StatusCode != 200 || !strings.Contains(got.body, "Disable</button>") {
		t.Errorf("%s\n%s", got.Status, got.body)
	}
	if got := send(alice, url.Values{"what": {"disable"}, "etag": {etag}}); got.StatusCode != 412 {
		t.Errorf("a form that another edit has overtaken: %s", got.Status)
	}
}
