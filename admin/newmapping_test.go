package admin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A certificate that was refused leads, from its reference or from an upload, to a form that is
// filled, and from there to a user.
// Covers W10.
func TestRefusedCertificateBecomesAUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice, carol, stranger := s.client("alice"), s.client("carol"), s.client("stranger")
	refused := decodeAny[problem](t, s.do(stranger, "GET", "internal", "/orders/7", "").body).Reference
	const link = "Make it a user"
	for _, path := range []string{"/refusals/" + refused, "/explain?reference=" + refused} {
		if page := s.do(alice, "GET", "admin", path, "").body; !strings.Contains(page, link) || !strings.Contains(page, "/new-mapping?reference="+refused) {
			t.Errorf("%s has no link\n%s", path, page)
		}
		if page := s.do(carol, "GET", "admin", path, "").body; strings.Contains(page, link) {
			t.Errorf("%s: an auditor sees the link", path)
		}
	}
	upload := url.Values{"port": {"internal"}, "certificate_pem": {string(pairOf(t, "stranger").CertPEM())}}
	if page := s.form(alice, "/explain", upload).body; !strings.Contains(page, link) || hidden(page, "certificate_pem") == "" {
		t.Errorf("an upload has no button\n%s", page)
	}
	upload.Set("certificate_pem", string(pairOf(t, "bob").CertPEM()))
	if page := s.form(alice, "/explain", upload).body; strings.Contains(page, link) {
		t.Error("a certificate with a user has the button")
	}

	page := s.do(alice, "GET", "admin", "/new-mapping?reference="+refused, "").body
	for _, want := range []string{"CN=stranger", "<option selected>fingerprint", "profile strict"} {
		if !strings.Contains(page, want) {
			t.Errorf("the form has no %q\n%s", want, page)
		}
	}
	fields := url.Values{"etag": {hidden(page, "etag")}, "certificate_pem": {hidden(page, "certificate_pem")}, "user": {"newcomer"}, "by": {"fingerprint"}, "ports": {"internal"}, "step": {"preview"}}
	shown := s.form(alice, "/new-mapping", fields)
	for _, want := range []string{"What would change", "refused, unmapped", "user <strong>newcomer</strong>", `value="internal" checked`, ">Add the mapping</button>"} {
		if !strings.Contains(shown.body, want) {
			t.Errorf("the preview has no %q\n%s", want, shown.body)
		}
	}
	if s.users() != siteUsers {
		t.Fatalf("a preview has changed the users:\n%s", s.users())
	}
	fields.Set("step", "add")
	if got := s.form(carol, "/new-mapping", fields); got.StatusCode != 403 {
		t.Errorf("an auditor: %s", got.Status)
	}
	if got := s.form(alice, "/new-mapping", fields); got.StatusCode != 200 || !strings.Contains(got.body, "Mapping newcomer") {
		t.Errorf("%s\n%s", got.Status, got.body)
	}
	if got := s.do(stranger, "GET", "internal", "/orders/7", ""); !strings.Contains(got.body, "no-rule") {
		t.Errorf("the certificate has no user: %s", got.body)
	}
	if page := s.do(alice, "GET", "admin", "/refusals/"+refused, "").body; strings.Contains(page, link) {
		t.Error("the link is still there")
	}
}

// A mapping that cannot be added is shown again in the form, with the reason and the input. Covers
// W6, W10.
func TestFormOfAMappingShowsWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice, carol := s.client("alice"), s.client("carol")
	page := s.do(alice, "GET", "admin", "/new-mapping", "").body
	etag := hidden(page, "etag")
	stranger := string(pairOf(t, "stranger").CertPEM())
	for _, row := range []struct {
		name   string
		fields url.Values
		status int
		want   string
	}{
		{"no certificate", url.Values{"user": {"x"}}, 422, "not a certificate"},
		{"a key", url.Values{"user": {"x"}, "certificate_pem": {stranger + string(pairOf(t, "stranger").KeyPEM())}}, 422, "private key; nothing was stored"},
		{"a reserved user", url.Values{"user": {"Default"}, "certificate_pem": {stranger}}, 422, "reserved"},
		{"no date", url.Values{"user": {"x"}, "certificate_pem": {stranger}, "last_day": {"soon"}}, 422, "is not a date"},
		{"a stale form", url.Values{"user": {"x"}, "certificate_pem": {stranger}, "etag": {`"` + strings.Repeat("0", 64) + `"`}}, 412, "in the meantime"},
		{"the certificate of the editor", url.Values{"user": {"x"}, "certificate_pem": {string(pairOf(t, "alice").CertPEM())}}, 409, "would not be user alice"},
	} {
		if row.fields.Get("etag") == "" {
			row.fields.Set("etag", etag)
		}
		row.fields.Set("step", "add")
		row.fields.Set("note", "CHG-1234")
		got := s.form(alice, "/new-mapping", row.fields)
		if got.StatusCode != row.status || !strings.Contains(got.body, row.want) || !strings.Contains(got.body, `value="CHG-1234"`) || strings.Contains(got.body, "PRIVATE KEY") {
			t.Errorf("%s: %s\n%s", row.name, got.Status, got.body)
		}
		if s.users() != siteUsers {
			t.Fatalf("%s: the users were changed:\n%s", row.name, s.users())
		}
	}
	if page := s.do(carol, "GET", "admin", "/new-mapping", "").body; !strings.Contains(page, "You may not change mappings") || strings.Contains(page, "<form method=\"post\"") {
		t.Errorf("an auditor sees the form\n%s", page)
	}
	for client, want := range map[*http.Client]bool{alice: true, carol: false} {
		if page := s.do(client, "GET", "admin", "/mappings", "").body; strings.Contains(page, "Add a mapping") != want {
			t.Errorf("the link is shown: %t, want %t", !want, want)
		}
	}
}

// form sends a form of a screen.
func (s *site) form(c *http.Client, path string, fields url.Values) *answer {
	s.Helper()
	return s.do(c, "POST", "admin", path, fields.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
}
