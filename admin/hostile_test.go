package admin_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/report"
)

// The body of no request is longer than 64 KiB, and a list does not read one: a form in it would
// take memory, and win over the query.
// Covers W7.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice, carol := s.client("alice"), s.client("carol")
	form := func(size int) (string, string) {
		var b bytes.Buffer
		m := multipart.NewWriter(&b)
		for _, name := range []string{"limit", "after", "minutes", "since", "reason", "of"} {
			_ = m.WriteField(name, "wrong")
		}
		part, _ := m.CreateFormFile("certificate", "big")
		_, _ = part.Write(bytes.Repeat([]byte("x"), size))
		_ = m.Close()
		return b.String(), m.FormDataContentType()
	}
	small, kind := form(100)
	for _, path := range []string{"/connections", "/mappings", "/refusals", "/api/v1/connections", "/api/v1/mappings", "/api/v1/refusals", "/api/v1/series"} {
		if got := s.do(carol, "GET", "admin", path, small, "Content-Type", kind); got.StatusCode != 200 {
			t.Errorf("GET %s reads a form in its body: %s %s", path, got.Status, got.body)
		}
	}
	big, bigKind := form(64 << 10)
	for _, row := range [][2]string{{"POST", "/explain"}, {"POST", "/new-mapping"}, {"POST", "/mappings/old/edit"}, {"POST", "/mappings/old/rotate"}, {"POST", "/api/v1/explain"}, {"POST", "/api/v1/inspect"}, {"POST", "/api/v1/mappings"}, {"PATCH", "/api/v1/mappings/old"}, {"POST", "/api/v1/mappings/old/rotate"}} {
		got := s.do(alice, row[0], "admin", row[1], big, "Content-Type", bigKind)
		if got.StatusCode != 413 && !strings.Contains(got.body, "more than 64 KiB") {
			t.Errorf("%s %s: got %s, want 413", row[0], row[1], got.Status)
		}
	}
}

// A HEAD of the stream answers at once: otherwise each would hold a place for a minute.
// Covers W8.
func TestHeadOfTheStreamHoldsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	carol := s.client("carol")
	for range 20 {
		if got := s.do(carol, "HEAD", "admin", "/api/v1/events", ""); got.StatusCode != 200 || got.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatal(got.Status)
		}
	}
}

// A query that may be a misspelled dry_run is refused: otherwise a dry run would become an edit.
// Covers W13.
func TestUnclearDryRunsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice := s.client("alice")
	etag := s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag")
	for _, query := range []string{"dry_run=true", "dry_run", "dry_run=", "dry_run=0", "dry-run=1", "dryrun=1", "Dry_run=1", "a=1;dry_run=1", "dry_run=%31%", "dry_run=1&dry_run=0", "lock_me_out=yes&dry_run=1"} {
		if got := s.do(alice, "PATCH", "admin", "/api/v1/mappings/old?"+query, `{"not_after":"2030-01-01"}`, "If-Match", etag); got.StatusCode != 422 && got.StatusCode != 400 {
			t.Errorf("%s: got %s %s, want 400 or 422", query, got.Status, got.body)
		}
	}
	for _, row := range [][2]string{{"/api/v1/reload?dry_run=1", ""}, {"/changes/reload?dry_run=1", ""}, {"/api/v1/connections/1/close?dry_run=1", ""}, {"/connections/1/close?dry_run=1", ""}, {"/mappings/old/edit?dry_run=1", "what=enable&etag=" + strings.ReplaceAll(etag, `"`, "%22")}} {
		if got := s.do(alice, "POST", "admin", row[0], row[1], "Content-Type", "application/x-www-form-urlencoded"); got.StatusCode != 422 {
			t.Errorf("%s: got %s %s, want 422", row[0], got.Status, got.body)
		}
	}
	if got := s.server.Status().Generation; got != 1 || s.users() != siteUsers {
		t.Errorf("generation %d\n%s", got, s.users())
	}
	for _, body := range []string{`{"disabled":true}{"disabled":false}`, `{"disabled":true} x`, `{"disabled":true}}`, `{"disabled":true}]`, `{"disabled":true},`} {
		if got := s.do(alice, "PATCH", "admin", "/api/v1/mappings/old?dry_run=1", body, "If-Match", etag); got.StatusCode != 400 {
			t.Errorf("%s: got %s, want 400", body, got.Status)
		}
	}
}

// An edit that ends the editor's own mapping soon is refused, like one that ends it now: there would
// be no time to undo it. An edit that changes nothing for the editor within a day is accepted. Covers W10.
func TestEditorIsNotLockedOutSoon(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice := s.client("alice")
	etag := s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag")
	in := func(d time.Duration) string { return report.Time(s.clock.Now().Add(d)) }
	set := func(fields map[string]string) *answer {
		body, _ := json.Marshal(fields)
		return s.do(alice, "PATCH", "admin", "/api/v1/mappings/staff", string(body), "If-Match", etag)
	}
	for _, fields := range []map[string]string{
		{"not_after": in(time.Second)}, {"not_after": in(time.Hour)}, {"not_after": in(23 * time.Hour)}, {"not_after": in(-time.Hour)},
		{"not_before": in(time.Minute)}, {"not_before": in(-time.Hour), "not_after": in(time.Minute)},
	} {
		if got := set(fields); got.StatusCode != 409 || !strings.Contains(got.body, "you would not be user alice") || s.users() != siteUsers {
			t.Errorf("%v: got %s %s, want 409, and the users unchanged", fields, got.Status, got.body)
		}
	}
	late := set(map[string]string{"not_after": in(25 * time.Hour)})
	if late.StatusCode != 200 {
		t.Fatal(late.Status, late.body)
	}
	// Once the end is near, it does not stand in the way of other edits.
	s.clock.Advance(2 * time.Hour)
	etag = decode[edited](s, late).ETag
	if got := s.do(alice, "PATCH", "admin", "/api/v1/mappings/old", `{"not_after":"2050-01-01"}`, "If-Match", etag); got.StatusCode != 200 {
		t.Error(got.Status, got.body)
	}
}

// Parameters of a link are shown escaped, like text of callers: anybody can send a link. Covers W4.
func TestTextsOfLinksAreEscaped(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice := s.client("alice")
	const hostile = "%E2%80%AE%00%22%3Cscript%3E"
	for path, names := range map[string]string{
		"/connections": "user port fingerprint limit after", "/mappings": "user port state id days limit after", "/refusals": "user port reason fingerprint since limit after",
		"/explain": "reference user port method path", "/new-mapping": "reference user by", "/api/v1/refusals": "user port reason since", "/api/v1/series": "of by minutes step",
		"/api/v1/mappings": "state id", "/api/v1/connections": "user port limit",
	} {
		for _, name := range strings.Fields(names) {
			got := s.do(alice, "GET", "admin", path+"?"+name+"="+hostile+"&port=internal&path=/", "")
			if strings.ContainsAny(got.body, "\u202e\x00") || strings.Contains(got.body, `"<script>`) || strings.Contains(got.body, `><script>`) {
				t.Errorf("%s: %s is not escaped: %s", path, name, got.body)
			}
		}
	}
	for _, path := range []string{"/ports/", "/mappings/", "/refusals/", "/static/", "/", "/api/v1/ports/", "/api/v1/mappings/", "/api/v1/refusals/", "/api/v1/"} {
		if got := s.do(alice, "GET", "admin", path+"%E2%80%AE%3Cb%3E", ""); got.StatusCode != 404 || strings.ContainsAny(got.body, "\u202e") || strings.Contains(got.body, "<b>") {
			t.Errorf("%s: got %s %s, want 404 without the hostile name", path, got.Status, got.body)
		}
	}
}
