package admin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// An edit on a node of a fleet commits a signed generation, of its author, and is in effect with the answer.
// Covers U8.
func TestEditsAreGenerationsOfTheFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	s := f.site(f, f.signed(), editing, func(c *admin.Config) { c.Signer = f.key })
	alice, stranger := s.client("alice"), s.client("stranger")
	etag := s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag")
	body, _ := json.Marshal(map[string]any{"user": "newcomer", "certificate_pem": string(pairOf(t, "stranger").CertPEM()), "by": "spki"})
	dry := decode[edited](s, s.do(alice, "POST", "admin", "/api/v1/mappings?dry_run=1", string(body), "If-Match", etag))
	if dry.Written || dry.ETag != etag || f.newest().Manifest.Number != 1 {
		t.Errorf("a dry run returned %+v, or committed a generation", dry)
	}
	added := decode[edited](s, s.do(alice, "POST", "admin", "/api/v1/mappings?note=CHG-1234", string(body), "If-Match", etag))
	m := f.newest().Manifest
	if !added.Written || added.ETag == etag || !strings.Contains(f.users(), "newcomer") || m.Number != 2 || m.Author != "alice" || m.Note != "CHG-1234" || len(m.By) != 64 {
		t.Errorf("%+v\n%+v", added, m)
	}
	if got := s.do(stranger, "GET", "admin", "/", ""); !strings.Contains(got.body, "no-rule") {
		t.Errorf("the certificate has no user: %s %s", got.Status, got.body)
	}
	removed := decode[edited](s, s.do(alice, "DELETE", "admin", "/api/v1/mappings/newcomer", "", "If-Match", added.ETag))
	if f.users() != siteUsers || removed.ETag != etag {
		t.Errorf("%+v\n%s", removed, f.users())
	}
	if got := s.do(alice, "GET", "admin", "/mappings/staff", ""); !strings.Contains(got.body, etag[1:20]) {
		t.Errorf("the screen has no form: %s", got.body)
	}
}

// Nothing is committed by an editor who has seen other users, on a generation that is not the newest, or without a key
// that the fleet trusts, to a source that can only be read, or by a store that is down.
// Covers U8.
func TestEditsOfAFleetThatAreRefused(t *testing.T) {
	t.Parallel()
	signing := func(f *orders) func(*admin.Config) { return func(c *admin.Config) { c.Signer = f.key } }
	other := newFleet(t)
	for name, x := range map[string]struct {
		settings string // besides those of signed
		from     func(*orders) source.Source
		edit     func(*orders) func(*admin.Config)
		before   func(*orders, *site) // the edit
		status   int
		want     string
		hidden   bool // no form is shown
	}{
		"no key":      {status: 409, want: "has no key to sign", edit: func(*orders) func(*admin.Config) { return func(*admin.Config) {} }, hidden: true},
		"another key": {status: 409, want: "not one of the signers", edit: func(*orders) func(*admin.Config) { return signing(other) }, hidden: true},
		"only read":   {status: 409, want: "can only read", from: func(f *orders) source.Source { return readOnly{f} }, hidden: true},
		"the node has newer users": {status: 412, want: "changed in the meantime", before: func(f *orders, s *site) {
			f.push("bob", "users.yaml", siteUsers+"# more\n")
			s.waitForFleet(2)
		}},
		"the store has a generation that the node has refused": {status: 412, want: "changed in the meantime", before: func(f *orders, s *site) {
			f.push("bob", "policy.csv", "no rule")
			testkit.Eventually(s, "the refusal", func() bool { return s.server.Status().Source.Refused == 2 })
		}},
		"the store is down": {status: 503, want: "the store of the fleet: away", before: func(f *orders, _ *site) { f.Break(errAway) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			var from source.Source = f
			if x.from != nil {
				from = x.from(f)
			}
			key := signing(f)
			if x.edit != nil {
				key = x.edit(f)
			}
			s := f.site(from, f.signed(), editing, key)
			alice := s.client("alice")
			mapping := s.do(alice, "GET", "admin", "/api/v1/mappings/old", "")
			if hidden := mapping.Header.Get("ETag") == ""; hidden != x.hidden {
				t.Errorf("the mapping has the ETag %q", mapping.Header.Get("ETag"))
			}
			if form := strings.Contains(s.do(alice, "GET", "admin", "/mappings/old", "").body, "/mappings/old/edit"); form == x.hidden {
				t.Errorf("the form is shown: %v", form)
			}
			if x.before != nil {
				x.before(f, s)
			}
			got := s.do(alice, "PATCH", "admin", "/api/v1/mappings/old", `{"disabled":false}`, "If-Match", mapping.Header.Get("ETag"))
			if got.StatusCode != x.status || !strings.Contains(got.body, x.want) || !strings.Contains(got.body, `"hint"`) {
				t.Errorf("got %s: %s, want %d %q with a hint", got.Status, got.body, x.status, x.want)
			}
			f.Break(nil)
			if m := f.newest().Manifest; m.Author == "alice" {
				t.Errorf("it was committed: %+v", m)
			}
		})
	}
}

// A program whose source can only be read edits through another store.
func TestEditsOfAFleetThroughAnotherStore(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	s := f.site(readOnly{f}, "unsigned: true", editing, func(c *admin.Config) { c.Store = f })
	alice := s.client("alice")
	etag := s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag")
	if got := s.do(alice, "PATCH", "admin", "/api/v1/mappings/old", `{"disabled":false}`, "If-Match", etag); got.StatusCode != http.StatusOK || f.newest().Manifest.Author != "alice" {
		t.Errorf("got %s: %s, want 200 and a generation by alice", got.Status, got.body)
	}
}
