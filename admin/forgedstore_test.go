package admin_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/source"
)

// forging is a store that shows other generations than it has.
type forging struct {
	*orders
	at map[uint64]*source.Generation
}

func (f *forging) At(ctx context.Context, number uint64) (*source.Generation, error) {
	if g := f.at[number]; g != nil {
		return g, nil
	}
	return f.orders.At(ctx, number)
}

// generation returns a generation that is signed and not committed, with other users.
func (f *orders) generation(parent *source.Generation, fleet, users string) *source.Generation {
	f.Helper()
	g, err := source.Next(parent, source.Manifest{Fleet: fleet, Author: "eve"}, fstest.MapFS{"users.yaml": {Data: []byte(users)}, "policy.csv": {Data: []byte(sitePolicy)}})
	if err == nil {
		g, err = g.Sign(f.key)
	}
	if err != nil {
		f.Fatal(err)
	}
	return g
}

// pruned is a store that does not have its first generation any more.
type pruned struct{ *orders }

func (p pruned) At(ctx context.Context, number uint64) (*source.Generation, error) {
	if number == 1 {
		return nil, source.ErrNone
	}
	return p.orders.At(ctx, number)
}

// If a store does not have the generation before, all files are listed as added, and the answer and the screen name the
// missing generation.
// Covers U9.
func TestPrunedGenerationIsNamed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.push("bob", "users.yaml", siteUsers+"# two\n")
	f.push("bob", "users.yaml", siteUsers+"# three\n")
	s := f.site(pruned{f}, f.signed())
	alice := s.client("alice")
	for path, want := range map[string]struct {
		missing uint64
		files   int
		text    string // of the screen
	}{"2": {1, 3, "does not have generation 1"}, "3": {0, 1, ""}} {
		got := decode[admin.FleetChange](s, s.do(alice, "GET", "admin", "/api/v1/fleet/"+path, ""))
		if got.Missing != want.missing || len(got.Files) != want.files {
			t.Errorf("%s: missing %d with %d files, want %d and %d", path, got.Missing, len(got.Files), want.missing, want.files)
		}
		page := s.do(alice, "GET", "admin", "/changes/"+path, "").body
		if said := strings.Contains(page, "does not have generation"); said != (want.text != "") || !strings.Contains(page, want.text) {
			t.Errorf("%s: the screen is %s", path, page)
		}
	}
}

// A generation that a store shows in place of the one that was in effect is neither restored nor shown as a change, even
// with a signature of the fleet.
// Covers U9.
func TestForgedHistoryIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	first := f.newest()
	f.push("bob", "users.yaml", siteUsers+"# two\n")
	f.push("bob", "users.yaml", siteUsers+"# three\n")
	const eve = siteUsers + "  - {id: eve, user: eve, subject: \"CN=eve\", issuer: client-ca.pem}\n"
	other := f.generation(nil, "shop", eve)
	for name, x := range map[string]struct {
		number uint64
		forged *source.Generation
		want   string
		hidden string // path of what changed: it is not shown
	}{
		"one that has lost a race":           {2, f.generation(first, "orders", eve), "is not the parent of generation 3", "/api/v1/fleet/3"},
		"one that another one stands before": {1, f.generation(nil, "orders", eve), "is not the parent of generation 2", "/api/v1/fleet/2"},
		"one of another fleet":               {1, other, `is of fleet \"shop\"`, "/api/v1/fleet/2"},
		"one of another fleet, later":        {2, f.generation(other, "shop", eve), `is of fleet \"shop\"`, "/api/v1/fleet/3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &forging{f, map[uint64]*source.Generation{x.number: x.forged}}
			s := f.site(f, f.signed(), editing, func(c *admin.Config) { c.Signer, c.Store = f.key, store })
			alice := s.client("alice")
			etag := s.do(alice, "GET", "admin", "/api/v1/fleet", "").Header.Get("ETag")
			path := "/api/v1/fleet/" + string('0'+rune(x.number))
			if got := s.do(alice, "POST", "admin", path+"/rollback", "", "If-Match", etag); got.StatusCode < 400 || !strings.Contains(got.body, x.want) {
				t.Errorf("got %s %s, want a refusal with %q", got.Status, got.body, x.want)
			}
			if got := s.do(alice, "GET", "admin", x.hidden, ""); got.StatusCode != 503 || !strings.Contains(got.body, "is not the parent of") {
				t.Errorf("got %s %s, want 503 for the wrong parent", got.Status, got.body)
			}
			if m := f.newest().Manifest; m.Number != 3 {
				t.Errorf("generation %d was committed", m.Number)
			}
		})
	}
}
