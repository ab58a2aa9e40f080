package admin_test

import (
	"html"
	"net/url"
	"strings"
	"testing"
)

// The id of a mapping may hold characters that have a meaning in a URL or in HTML: links and
// forms lead to the mapping all the same.
func TestMappingsWithOddIDs(t *testing.T) {
	t.Parallel()
	const id = `a b?c#d%e&f"g<h>`
	s := newSite(t, editing)
	s.put("users.yaml", siteUsers+"  - {id: '"+id+"', user: partner, subject: \"CN=partner\", issuer: client-ca.pem, disabled: true}\n")
	if err := s.server.Reload(); err != nil {
		t.Fatal(err)
	}
	alice := s.client("alice")
	path := "/mappings/" + url.PathEscape(id)
	if list := s.do(alice, "GET", "admin", "/mappings", "").body; !strings.Contains(html.UnescapeString(list), `href="`+path+`"`) {
		t.Errorf("the list has no link %s\n%s", path, list)
	}
	page := s.do(alice, "GET", "admin", path, "")
	if page.StatusCode != 200 || !strings.Contains(html.UnescapeString(page.body), `action="`+path+`/edit"`) {
		t.Fatalf("%s\n%s", page.Status, page.body)
	}
	got := s.form(alice, path+"/edit", url.Values{"what": {"enable"}, "etag": {hidden(page.body, "etag")}})
	if got.StatusCode != 200 || !strings.Contains(got.body, "Rotate to the next certificate") || strings.Contains(s.users(), "partner, subject: \"CN=partner\", issuer: client-ca.pem, disabled: true") {
		t.Errorf("%s\n%s\n%s", got.Status, s.users(), got.body)
	}
}
