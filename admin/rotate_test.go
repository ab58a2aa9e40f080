package admin_test

import (
	"crypto/x509"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// partnerSite is a site whose user partner has a certificate of its own authority, and the next
// one.
type partnerSite struct {
	*site
	alice     *http.Client
	old, next *testpki.Pair
}

func newPartnerSite(t *testing.T, edits ...func(*admin.Config)) *partnerSite {
	t.Helper()
	ca := testpki.NewCA("Partner CA")
	p := &partnerSite{
		old:  ca.Leaf("partner", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(20 * 24 * time.Hour).Truncate(time.Second) }),
		next: ca.Leaf("partner", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(400 * 24 * time.Hour) }),
	}
	p.site = newSite(t, append(edits, editing)...)
	p.put("partner-ca.pem", string(ca.CertPEM()))
	p.put("mtlsguard.yaml", strings.ReplaceAll(siteConfig, "anchors: [client-ca.pem]", "anchors: [client-ca.pem, partner-ca.pem]"))
	p.put("users.yaml", siteUsers+"  - {id: partner, user: partner, fingerprint: "+trust.FingerprintOf(p.old.Cert).String()+"}\n")
	p.put("policy.csv", sitePolicy+"p, user:partner, internal, GET, /orders/*, allow\n")
	if err := p.server.Reload(); err != nil {
		t.Fatal(err)
	}
	p.alice = p.client("alice")
	return p
}

// as returns a client with a certificate of the partner.
func (p *partnerSite) as(pair *testpki.Pair) *http.Client { return testkit.Client(p, p.roots, pair) }

func (p *partnerSite) etag() string {
	return p.do(p.alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag")
}

func (p *partnerSite) mapping(id string) admin.Mapping {
	p.Helper()
	return decode[admin.Mapping](p.site, p.do(p.alice, "GET", "admin", "/api/v1/mappings/"+id, ""))
}

// The next certificate of a partner works beside the old one, which ends with its certificate;
// both mappings change with one write.
// Covers W10, W12.
func TestRotationKeepsTheOldCertificateUntilItEnds(t *testing.T) {
	t.Parallel()
	p := newPartnerSite(t)
	before := p.users()
	if got := p.do(p.as(p.old), "GET", "internal", "/orders/7", ""); got.StatusCode != 200 {
		t.Fatal(got.Status, got.body)
	}
	if got := p.do(p.as(p.next), "GET", "internal", "/orders/7", ""); got.StatusCode != 403 || !strings.Contains(got.body, "unmapped") {
		t.Fatal(got.Status, got.body)
	}
	etag := p.etag()
	body, _ := json.Marshal(map[string]string{"certificate_pem": string(p.next.CertPEM())})
	dry := decode[admin.Edited](p.site, p.do(p.alice, "POST", "admin", "/api/v1/mappings/partner/rotate?dry_run=1", string(body), "If-Match", etag))
	if dry.Written || p.users() != before || len(dry.Outcomes) != 3 {
		t.Errorf("a dry run returned %+v, or wrote; want three outcomes", dry)
	}
	for _, o := range dry.Outcomes {
		if o.Reason != "" || o.Before.Reason != "unmapped" || o.After.User != "partner" {
			t.Errorf("got %+v, want partner by the new certificate", o)
		}
	}
	out := decode[admin.Edited](p.site, p.do(p.alice, "POST", "admin", "/api/v1/mappings/partner/rotate", string(body), "If-Match", etag))
	name := "partner-" + p.next.Cert.NotBefore.UTC().Format("2006")
	if !out.Written || out.Generation != 3 || out.ETag == etag || len(out.Added) != 2 || len(out.Removed) != 1 {
		t.Errorf("got %+v, want generation 3 with two mappings in place of one", out)
	}
	if m := p.mapping("partner"); m.NotAfter != p.old.Cert.NotAfter.UTC().Format(time.RFC3339) || !m.InForce {
		t.Errorf("the old mapping: %+v, want its end with the certificate, %s", m, p.old.Cert.NotAfter)
	}
	if m := p.mapping(name); m.User != "partner" || m.NotAfter != "" || m.Kind != "fingerprint" || m.FirstSeen != "" {
		t.Errorf("the new mapping: %+v", m)
	}
	for _, pair := range []*testpki.Pair{p.old, p.next} {
		if got := p.do(p.as(pair), "GET", "internal", "/orders/7", ""); got.StatusCode != 200 {
			t.Errorf("got %s %s, want 200", got.Status, got.body)
		}
	}
	if p.mapping(name).FirstSeen == "" {
		t.Error("the new mapping was not seen")
	}
	if got := p.do(p.alice, "POST", "admin", "/api/v1/mappings/partner/rotate", string(body), "If-Match", out.ETag); got.StatusCode != 422 {
		t.Errorf("the same rotation again: %s %s", got.Status, got.body)
	}
}

// A refused rotation changes nothing.
// Covers W10, W12.
func TestRotationsThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newPartnerSite(t)
	before, etag := p.users(), p.etag()
	carol := p.client("carol")
	next := string(p.next.CertPEM())
	for _, row := range []struct {
		name, id string
		body     map[string]string
		match    string
		client   *http.Client
		status   int
		detail   string
	}{
		{"no ETag", "partner", map[string]string{"certificate_pem": next}, "", p.alice, 428, "If-Match"},
		{"a stale ETag", "partner", map[string]string{"certificate_pem": next}, `"` + strings.Repeat("0", 64) + `"`, p.alice, 412, "in the meantime"},
		{"an auditor", "partner", map[string]string{"certificate_pem": next}, etag, carol, 403, ""},
		{"no mapping", "none", map[string]string{"certificate_pem": next}, etag, p.alice, 404, "none"},
		{"a pattern", "staff", map[string]string{"certificate_pem": next}, etag, p.alice, 422, "many users"},
		{"a disabled mapping", "old", map[string]string{"certificate_pem": next, "by": "fingerprint"}, etag, p.alice, 422, "is disabled"},
		{"the old certificate", "partner", map[string]string{"certificate_pem": string(p.old.CertPEM())}, etag, p.alice, 422, "matches this certificate already"},
		{"a key", "partner", map[string]string{"certificate_pem": next + string(p.next.KeyPEM())}, etag, p.alice, 422, "private key; nothing was stored"},
		{"no certificate", "partner", map[string]string{}, etag, p.alice, 422, "not a certificate"},
		{"an unknown kind", "partner", map[string]string{"certificate_pem": next, "by": "color"}, etag, p.alice, 422, "color"},
		{"a kind that it has not", "partner", map[string]string{"certificate_pem": next, "by": "uri"}, etag, p.alice, 422, "by uri"},
		{"no date", "partner", map[string]string{"certificate_pem": next, "end_old": "soon"}, etag, p.alice, 422, "soon"},
		{"an unknown field", "partner", map[string]string{"certificate_pem": next, "user": "root"}, etag, p.alice, 400, "user"},
		{"the certificate of the editor", "partner", map[string]string{"certificate_pem": string(pairOf(t, "alice").CertPEM())}, etag, p.alice, 409, "would not be user alice"},
		{"an id that is taken", "partner", map[string]string{"certificate_pem": next, "id": "old"}, etag, p.alice, 422, "not unique"},
	} {
		body, _ := json.Marshal(row.body)
		got := p.do(row.client, "POST", "admin", "/api/v1/mappings/"+row.id+"/rotate", string(body), "If-Match", row.match)
		if got.StatusCode != row.status || !strings.Contains(got.body, row.detail) || !strings.HasPrefix(got.Header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s: got %s %s, want %d %q", row.name, got.Status, got.body, row.status, row.detail)
		}
		if p.users() != before {
			t.Fatalf("%s: the users were changed:\n%s", row.name, p.users())
		}
	}
}

// The form shows what would change, and changes it once it is confirmed. When the new certificate
// is used and the old one was not for a week, the page offers to end the old one.
// Covers W10, W12.
func TestRotationIsShownBeforeItIsMade(t *testing.T) {
	t.Parallel()
	p := newPartnerSite(t)
	before := p.users()
	page := p.do(p.alice, "GET", "admin", "/mappings/partner", "").body
	if !strings.Contains(page, "Rotate to the next certificate") {
		t.Fatal(page)
	}
	if strings.Contains(p.do(p.client("carol"), "GET", "admin", "/mappings/partner", "").body, "Rotate to the next") {
		t.Error("an auditor sees the form")
	}
	send := func(fields url.Values) *answer {
		return p.do(p.alice, "POST", "admin", "/mappings/partner/rotate", fields.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
	}
	if got := send(url.Values{"etag": {hidden(page, "etag")}, "certificate_pem": {string(p.next.CertPEM()) + string(p.next.KeyPEM())}}); got.StatusCode != 422 || !strings.Contains(got.body, "private key") || strings.Contains(got.body, "-----BEGIN") {
		t.Errorf("with a key: %s\n%s", got.Status, got.body)
	}
	shown := send(url.Values{"etag": {hidden(page, "etag")}, "certificate_pem": {string(p.next.CertPEM())}, "last_day": {"2026-12-31"}})
	for _, want := range []string{"What would change", "changed: mapping partner, which ends 2026-12-31T23:59:59Z", "unmapped", "user <strong>partner</strong>", `value="2026-12-31"`, "CN=partner", ">Rotate</button>"} {
		if !strings.Contains(shown.body, want) {
			t.Errorf("no %q\n%s", want, shown.body)
		}
	}
	if shown.StatusCode != 200 || p.users() != before {
		t.Fatalf("%s: the users were changed:\n%s", shown.Status, p.users())
	}
	confirm := url.Values{"etag": {hidden(shown.body, "etag")}, "certificate_pem": {hidden(shown.body, "certificate_pem")}, "last_day": {time.Now().Add(30 * 24 * time.Hour).Format(time.DateOnly)}, "confirmed": {"1"}}
	done := send(confirm)
	if done.StatusCode != 200 || !strings.Contains(done.body, "was first seen not yet") || strings.Contains(done.body, "End partner now") {
		t.Errorf("%s\n%s", done.Status, done.body)
	}
	if end := p.mapping("partner").NotAfter; !strings.HasSuffix(end, "T23:59:59Z") {
		t.Errorf("the old mapping ends %s, and not with its last day", end)
	}
	if got := send(confirm); got.StatusCode != 412 || !strings.Contains(got.body, "in the meantime") {
		t.Errorf("confirmed twice: %s\n%s", got.Status, got.body)
	}
	p.do(p.as(p.old), "GET", "internal", "/orders/7", "")
	p.clock.Advance(8 * 24 * time.Hour)
	testkit.Eventually(t, "the new mapping is seen after the old one", func() bool {
		p.do(p.as(p.next), "GET", "internal", "/orders/7", "")
		last := p.mapping("partner-" + p.next.Cert.NotBefore.UTC().Format("2006")).LastSeen
		return last != nil && last.At > p.mapping("partner").LastSeen.At
	})
	page = p.do(p.alice, "GET", "admin", "/mappings/partner", "").body
	if !strings.Contains(page, "End partner now") {
		t.Errorf("the end is not offered\n%s", page)
	}
	end := url.Values{"what": {"end-now"}, "etag": {hidden(page, "etag")}}
	if got := p.do(p.alice, "POST", "admin", "/mappings/partner/edit", end.Encode(), "Content-Type", "application/x-www-form-urlencoded"); got.StatusCode != 200 {
		t.Errorf("%s\n%s", got.Status, got.body)
	}
	if got := p.do(p.as(p.old), "GET", "internal", "/orders/7", ""); !strings.Contains(got.body, "mapping-expired") {
		t.Errorf("the old certificate after its end: %s %s", got.Status, got.body)
	}
	if got := p.do(p.as(p.next), "GET", "internal", "/orders/7", ""); got.StatusCode != 200 {
		t.Errorf("the next certificate: %s %s", got.Status, got.body)
	}
}

// hidden returns the value of a hidden field of a page.
func hidden(page, name string) string {
	_, rest, _ := strings.Cut(page, `type="hidden" name="`+name+`" value="`)
	value, _, _ := strings.Cut(rest, `">`)
	return html.UnescapeString(value)
}
