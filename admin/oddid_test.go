package admin_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// The id of a mapping may hold characters that have a meaning in a URL or in HTML: links and
// forms lead to the mapping all the same.
// Covers W14.
func TestMappingsWithOddIDs(t *testing.T) {
	t.Parallel()
	const id = `a b?c#d&f"g<h>`
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

// An id whose escaped form the guard refuses in a path has an address all the same: otherwise
// the mapping could not be disabled on the page.
// Covers W14.
func TestEveryMappingHasAnAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice := s.client("alice")
	ids := []string{".", "..", "../../x", "a/b", "/", "%2f", "%252e", "~", "~YS9i", "~old", "a;b", `a\b`, "é", "//x", "?", "a/edit"}
	for c := '!'; c <= '~'; c++ {
		ids = append(ids, "x"+string(c)+"y")
	}
	users := siteUsers
	for i, id := range ids {
		quoted, _ := json.Marshal(id)
		users += fmt.Sprintf("  - {id: %s, user: partner, subject: \"CN=partner,O=%d\", issuer: client-ca.pem}\n", quoted, i)
	}
	s.put("users.yaml", users)
	if err := s.server.Reload(); err != nil {
		t.Fatal(err)
	}
	list := html.UnescapeString(s.do(alice, "GET", "admin", "/mappings?user=partner", "").body)
	links := regexp.MustCompile(`href="(/mappings/[^"]*)"`).FindAllStringSubmatch(list, -1)
	if len(links) != len(ids) {
		t.Fatalf("%d links, want %d\n%s", len(links), len(ids), list)
	}
	for i, id := range ids {
		path := links[i][1]
		got := decode[struct{ ID string }](s, s.do(alice, "GET", "admin", "/api/v1"+path, ""))
		page := s.do(alice, "GET", "admin", path, "")
		if got.ID != id || page.StatusCode != 200 || !strings.Contains(html.UnescapeString(page.body), `action="`+path+`/edit"`) {
			t.Errorf("%q at %s: %q, %s", id, path, got.ID, page.Status)
		}
	}
	for _, second := range []string{"~b2xk", "~c3RhZmY", "~Li5"} { // old, staff, and another form of ..
		if got := s.do(alice, "GET", "admin", "/api/v1/mappings/"+second, ""); got.StatusCode != 404 {
			t.Errorf("%s is a second address of a mapping: %s %s", second, got.Status, got.body)
		}
	}
	etag := s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag")
	path := links[3][1] // a/b
	got := s.do(alice, "PATCH", "admin", "/api/v1"+path, `{"disabled":true}`, "If-Match", etag)
	if got.StatusCode != 200 || strings.Count(s.users(), "disabled: true") != 2 {
		t.Errorf("%s\n%s", got.Status, got.body)
	}
}
