package admin_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Each screen shows what the server has, and so does the API.
func TestScreensShowTheServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, http2 := s.client("alice"), s.client("alice", testkit.HTTP2)
	s.do(http2, "GET", "internal", "/orders/7", "")
	for path, wants := range map[string][]string{
		"/":             {"orders &lt;test&gt;", "generation <strong data-live=\"generation\">1</strong>", "signed in as <strong>alice</strong> by mapping staff"},
		"/ports":        {"internal", "require", "request", "TLS 1.2", s.addr["public"], "2124-01-01 00:00:00"},
		"/ports/public": {"the user Default", "connections_per_ip", "default", "CN=Client CA,O=Acme"},
		"/connections":  {"CN=alice,OU=Staff,O=Acme", "h2", "/connections/"},
		"/mappings":     {"CN={user},OU=Staff,O=Acme", "disabled", "olaf", "on internal, alice", "users.yaml:2"},
		"/mappings/old": {"disabled", "never since the start"},
		"/trust":        {"CN=Client CA,O=Acme", "revocation"},
		"/changes":      {"Generation 1", "policy.csv", "Reload now"},
		"/lint":         {"Default"},
		"/refusals":     {"Refusals, newest first"},
		"/explain":      {"multipart/form-data"},
		"/explain?user=alice&port=internal&path=/orders/7": {"allows user:alice"},
	} {
		got := s.do(alice, "GET", "admin", path, "")
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: got %s, want a page with 200", path, got.Status)
		}
		for _, want := range wants {
			if !strings.Contains(got.body, want) {
				t.Errorf("%s has no %q\n%s", path, want, got.body)
			}
		}
	}
	for _, path := range []string{"/ports/none", "/mappings/none", "/refusals/none"} {
		if got := s.do(alice, "GET", "admin", path, ""); got.StatusCode != 404 || !strings.Contains(got.body, "role=\"alert\"") {
			t.Errorf("%s: got %s, want 404 with an alert", path, got.Status)
		}
	}
	list := decode[[]admin.Mapping](s, s.do(alice, "GET", "admin", "/api/v1/mappings", ""))
	if len(list) != 2 || !list[0].InForce || list[1].InForce || list[0].LastSeen == nil || list[0].LastSeen.User != "alice" || list[1].LastSeen != nil {
		t.Errorf("got %+v, want two mappings, the first in effect and seen as alice", list)
	}
	for query, want := range map[string]string{
		"?state=disabled": "old", "?state=seen": "staff", "?user=olaf": "old", "?user=alice": "staff", "?after=1": "old", "?limit=1": "staff", "?days=1": "", "?id=old": "old",
	} {
		got := ""
		for _, m := range decode[[]admin.Mapping](s, s.do(alice, "GET", "admin", "/api/v1/mappings"+query, "")) {
			got += m.ID
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// A reload that fails is on every screen, with its place, until one succeeds.
func TestFailedReloadIsShown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.client("alice")
	s.put("policy.csv", sitePolicy+"p, user:bob, nowhere, GET, /, allow\n")
	got := s.do(alice, "POST", "admin", "/api/v1/reload", "")
	if got.StatusCode != 422 || !strings.Contains(got.body, "policy.csv") {
		t.Errorf("got %s %s, want 422 with policy.csv", got.Status, got.body)
	}
	for _, path := range []string{"/", "/refusals", "/changes"} {
		if page := s.do(alice, "GET", "admin", path, "").body; !strings.Contains(page, "The last reload failed") || !strings.Contains(page, "policy.csv:11") {
			t.Errorf("%s does not show the failure\n%s", path, page)
		}
	}
	s.put("policy.csv", sitePolicy)
	if r := decode[admin.Reloaded](s, s.do(alice, "POST", "admin", "/api/v1/reload", "")); r.Generation != 2 {
		t.Errorf("got %+v, want generation 2", r)
	}
	if page := s.do(alice, "GET", "admin", "/", "").body; strings.Contains(page, "The last reload failed") {
		t.Error("the failure is still shown")
	}
	if changes := decode[admin.Changes](s, s.do(alice, "GET", "admin", "/api/v1/changes", "")); len(changes.Generations) != 2 || changes.Failed == nil || changes.Generations[0].Number != 2 {
		t.Errorf("got %+v, want two generations and the failed reload", changes)
	}
}

// Only users whom the policy allows a POST may close a connection or reload. Other users see no
// button.
// Covers W2.
func TestOnlyEditorsCloseAndReload(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, carol, bob := s.client("alice"), s.client("carol"), s.client("bob")
	s.do(bob, "GET", "internal", "/orders/7", "")
	find := func() *admin.Connection {
		for _, c := range decode[[]admin.Connection](s, s.do(alice, "GET", "admin", "/api/v1/connections?user=bob&port=internal", "")) {
			return &c
		}
		return nil
	}
	c := find()
	if c == nil || c.Port != "internal" || c.Mapping != "staff" || c.Certificate == nil || c.SPKI == "" {
		t.Fatalf("got %+v, want the connection of mapping staff on port internal", c)
	}
	path := "/api/v1/connections/" + itoa(c.ID) + "/close"
	for _, row := range []struct {
		client *http.Client
		path   string
	}{{carol, path}, {bob, path}, {carol, "/api/v1/reload"}, {carol, "/connections/" + itoa(c.ID) + "/close"}, {carol, "/changes/reload"}} {
		if got := s.do(row.client, "POST", "admin", row.path, ""); got.StatusCode != 403 {
			t.Errorf("%s: got %s, want 403", row.path, got.Status)
		}
	}
	for client, want := range map[*http.Client]bool{alice: true, carol: false} {
		for path, button := range map[string]string{"/connections": "/close\">", "/changes": "Reload now"} {
			if got := s.do(client, "GET", "admin", path, ""); strings.Contains(got.body, button) != want {
				t.Errorf("%s: a button is shown: %t, want %t", path, !want, want)
			}
		}
	}
	if got := s.do(alice, "POST", "admin", path, ""); got.StatusCode != 200 {
		t.Errorf("got %s %s, want 200", got.Status, got.body)
	}
	testkit.Eventually(t, "the connection is gone", func() bool { return find() == nil })
	if got := s.do(alice, "POST", "admin", path, ""); got.StatusCode != 404 {
		t.Errorf("closed twice: %s", got.Status)
	}
	noRedirect := s.client("alice")
	noRedirect.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if got := s.do(noRedirect, "POST", "admin", "/changes/reload", "", "Sec-Fetch-Site", "same-origin"); got.StatusCode != 303 || got.Header.Get("Location") != "/changes" {
		t.Errorf("got %s, want 303 to /changes", got.Status)
	}
}

// The first screen lists what expires soon: certificates that were used, or that the program knows,
// and mappings.
func TestOverviewListsWhatEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.client("alice")
	s.put("users.yaml", siteUsers+"  - {id: brief, user: brief, subject: \"CN=brief\", issuer: client-ca.pem, not_after: "+time.Now().Add(10*24*time.Hour).UTC().Format(time.RFC3339)+"}\n")
	if err := s.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if page := s.do(alice, "GET", "admin", "/", "").body; !strings.Contains(page, "mapping brief of user brief ends") || strings.Contains(page, "server certificate") {
		t.Errorf("the page names the wrong ends:\n%s", page)
	}
	s.clock.Set(time.Date(2123, 12, 20, 0, 0, 0, 0, time.UTC)) // twelve days before the certificates of testdata/pki end
	page := s.do(s.client("alice"), "GET", "admin", "/", "").body
	for _, want := range []string{"port admin: server certificate", "trust anchor", "in 11 days"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q\n%s", want, page)
		}
	}
}

// The end of a mapping by fingerprint is shown before its first use, if the program keeps the
// certificate.
func TestKeptCertificatesShowTheirEnd(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("CA")
	ends := time.Now().Add(9 * 24 * time.Hour).Truncate(time.Second)
	leaf := ca.Leaf("partner", func(c *x509.Certificate) { c.NotAfter = ends })
	s := newSite(t, func(c *admin.Config) { c.Certificates = []*x509.Certificate{leaf.Cert} })
	s.put("users.yaml", siteUsers+"  - {id: partner, user: partner, fingerprint: "+trust.FingerprintOf(leaf.Cert).String()+"}\n")
	if err := s.server.Reload(); err != nil {
		t.Fatal(err)
	}
	alice := s.client("alice")
	got := decode[[]admin.Mapping](s, s.do(alice, "GET", "admin", "/api/v1/mappings?days=30", ""))
	if len(got) != 1 || got[0].ID != "partner" || got[0].KnownFrom != "kept" || got[0].CertificateNotAfter != ends.UTC().Format(time.RFC3339) {
		t.Errorf("got %+v, want the mapping partner with the end of its certificate", got)
	}
	if page := s.do(alice, "GET", "admin", "/", "").body; !strings.Contains(page, "the certificate of mapping partner, user partner, ends") {
		t.Error(page)
	}
}

func TestWrongLimitOfRefusalsIsAnError(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 99, 10_001} {
		if _, err := admin.New(admin.Config{Refusals: n}); err == nil || len(configerror.All(err)) != 1 {
			t.Errorf("%d: got %v, want one error", n, err)
		}
	}
}
