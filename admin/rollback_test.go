package admin_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A rollback restores users and policy of an older generation, and all other files stay. Generations and nodes are
// shown.
// Covers U9.
func TestFleetIsRolledBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.push("bob", "users.yaml", siteUsers+"  - {id: eve, user: eve, subject: \"CN=eve\", issuer: client-ca.pem}\n", "crls/README", "a file that stays")
	s := f.site(f, f.signed(), editing, func(c *admin.Config) { c.Signer = f.key })
	alice, carol := s.client("alice"), s.client("carol")
	got := s.do(alice, "GET", "admin", "/api/v1/fleet", "")
	fleet := decode[admin.Fleet](s, got)
	if fleet.Name != "orders" || fleet.InEffect != 2 || len(fleet.Generations) != 2 || fleet.Generations[0].Author != "bob" || fleet.Generations[0].Note != "by bob" {
		t.Errorf("got %+v, want the two generations of orders, the newest by bob", fleet)
	}
	change := decode[admin.FleetChange](s, s.do(alice, "GET", "admin", "/api/v1/fleet/2", ""))
	if !change.Trusted || len(change.Files) != 2 || !strings.Contains(change.Files[1].Items[0].New, "eve") {
		t.Errorf("got %+v, want two changed files, and eve in the second", change)
	}
	etag := got.Header.Get("ETag")
	for name, x := range map[string]struct {
		path, match string
		status      int
	}{
		"without If-Match":           {"/api/v1/fleet/1/rollback", "", 428},
		"with another ETag":          {"/api/v1/fleet/1/rollback", s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag"), 412},
		"to one that does not exist": {"/api/v1/fleet/7/rollback", etag, 404},
		"with an unclear dry run":    {"/api/v1/fleet/1/rollback?dry_run=true", etag, 422},
		"to no number":               {"/api/v1/fleet/01/rollback", etag, 404},
	} {
		if got := s.do(alice, "POST", "admin", x.path, "", "If-Match", x.match); got.StatusCode != x.status {
			t.Errorf("%s: got %s %s, want %d", name, got.Status, got.body, x.status)
		}
	}
	if got := s.do(alice, "POST", "admin", "/api/v1/fleet/1/rollback", "", "If-Match", etag, "If-Match", `"`+strings.Repeat("0", 64)+`"`); got.StatusCode != 422 {
		t.Errorf("two lines of If-Match: %s %s", got.Status, got.body)
	}
	if got := s.do(carol, "POST", "admin", "/api/v1/fleet/1/rollback", "", "If-Match", etag); got.StatusCode != 403 {
		t.Errorf("an auditor: %s", got.Status)
	}
	if page := s.do(carol, "GET", "admin", "/changes/1", ""); page.StatusCode != 200 || strings.Contains(page.body, "/changes/1/rollback") {
		t.Errorf("an auditor sees: %s %s", page.Status, page.body)
	}
	page := s.do(alice, "GET", "admin", "/changes/1", "")
	if !strings.Contains(page.body, "/changes/1/rollback") || !strings.Contains(s.do(alice, "GET", "admin", "/changes/2", "").body, "eve") {
		t.Errorf("got %s %s, want a button for the rollback, and eve in the newest change", page.Status, page.body)
	}
	form := url.Values{"etag": {etag}, "note": {"CHG-7"}}.Encode()
	s.do(alice, "POST", "admin", "/changes/1/rollback", form, "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	m := f.newest().Manifest
	if m.Number != 3 || m.Restores != 1 || m.Author != "alice" || m.Note != "CHG-7" || len(m.Files) != 4 || f.users() != siteUsers {
		t.Errorf("%+v\n%s", m, f.users())
	}
	testkit.Eventually(t, "the report of the node", func() bool {
		page := s.do(alice, "GET", "admin", "/changes", "").body
		return strings.Contains(page, "node-1") && strings.Contains(page, "current") && strings.Contains(page, "CHG-7")
	})
}

// A generation that no signer has signed is not restored, nor one after which the editor could not undo it.
// Covers U9.
func TestRollbacksThatAreRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.push("bob", "policy.csv", strings.Replace(sitePolicy, "g, user:alice", "g, user:bob", 1))
	f.push("bob", "policy.csv", sitePolicy)
	s := f.site(f, f.signed(), editing, func(c *admin.Config) { c.Signer = f.key })
	alice := s.client("alice")
	etag := s.do(alice, "GET", "admin", "/api/v1/fleet", "").Header.Get("ETag")
	if got := s.do(alice, "POST", "admin", "/api/v1/fleet/2/rollback", "", "If-Match", etag); got.StatusCode != 409 || !strings.Contains(got.body, "lock_me_out=1") {
		t.Errorf("got %s %s, want 409 with lock_me_out=1", got.Status, got.body)
	}
	forged := newFleet(t) // by another key
	forged.push("eve", "users.yaml", siteUsers+"# eve\n")
	other := f.site(f, f.signed(), editing, func(c *admin.Config) { c.Signer, c.Store = f.key, forged })
	if got := other.do(other.client("alice"), "POST", "admin", "/api/v1/fleet/2/rollback", "", "If-Match", etag); got.StatusCode != 422 || !strings.Contains(got.body, "no signature") {
		t.Errorf("got %s %s, want 422 without a signature", got.Status, got.body)
	}
	if got := f.newest().Manifest.Number; got != 3 {
		t.Errorf("generation %d was committed", got)
	}
}
