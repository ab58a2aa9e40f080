package browsertest_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// on moves the focus to an element by the key Tab alone.
func (b *browser) on(role, name string) {
	b.Helper()
	b.do("tab", map[string]any{"role": role, "name": name}, nil)
}

// follow moves the focus to a link or a button, presses Enter, and waits for the next page, which
// has no fault.
func (b *browser) follow(role, name string) {
	b.Helper()
	b.on(role, name)
	b.do("follow", nil, nil)
	b.check("after " + role + " " + name)
}

// fill replaces the text of a field.
func (b *browser) fill(name, text string) {
	b.Helper()
	b.on("textbox", name)
	b.do("press", map[string]any{"key": "Control+A"}, nil)
	b.do("type", map[string]any{"text": text}, nil)
}

// newestUnmapped returns the reference of the newest refusal of a certificate that no mapping matches.
func (s *site) newestUnmapped() string {
	s.Helper()
	var out []struct{ Reference string }
	s.get("/api/v1/refusals?reason=unmapped&limit=1", &out)
	if len(out) != 1 {
		s.Fatalf("refusals: %v", out)
	}
	return out[0].Reference
}

// An operator finds out why a caller was refused, makes the certificate a user, and sees the same
// request allowed: without a mouse, and without JavaScript.
func TestRefusedCertificateBecomesUser(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]view{"with script": {}, "without script": {WithoutScript: true, Dark: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			stranger := s.pair("stranger")
			s.expect(http.StatusForbidden, stranger, "GET", "internal", "/orders/7")
			reference := s.newestUnmapped()
			b := newBrowser(s, "alice")
			b.open(v)
			b.load("/")
			b.follow("link", "Refusals")
			b.follow("link", reference)
			b.see("unmapped")
			b.follow("link", "Make it a user")
			b.fill("User", "newcomer")
			b.follow("button", "Show what would change")
			b.see("What would change")
			b.see("newcomer")
			b.follow("button", "Add the mapping")
			b.see("newcomer")
			b.follow("link", "Refusals")
			b.follow("link", reference)
			b.see("Allowed")
			s.expect(http.StatusOK, stranger, "GET", "internal", "/orders/7")
		})
	}
}

// An operator rotates a mapping to the next certificate, sees that it is used, and ends the old
// one, without a mouse.
func TestRotationByKeyboard(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	old := s.pair("partner")
	next := s.pair("partner-ca").Leaf("", func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "partner", Organization: []string{"Partner"}}
		c.NotAfter = old.Cert.NotAfter
	})
	file := filepath.Join(s.dir, "next.pem")
	s.put("next.pem", string(next.CertPEM()))
	s.expect(http.StatusForbidden, next, "GET", "internal", "/orders/7")

	b := newBrowser(s, "alice")
	b.open(view{})
	b.load("/")
	b.follow("link", "Mappings")
	b.follow("link", "partner-2026")
	b.on("label", "Certificate, PEM or DER, without its key")
	b.do("choose", map[string]any{"file": file}, nil)
	b.follow("button", "Show what would change")
	b.see("refused, unmapped") // before
	b.see("user partner by mapping partner-")
	b.follow("button", "Rotate")
	s.expect(http.StatusOK, old, "GET", "internal", "/orders/7")
	s.expect(http.StatusOK, next, "GET", "internal", "/orders/7")
	b.follow("link", "Mappings")
	b.follow("link", "partner-2026")
	b.see("was first seen")
	if text := b.text(); strings.Contains(text, "End partner-2026 now") {
		t.Errorf("the page offers to end a mapping that is still used\n%s", text)
	}
}

// Of two editors the second sees that the mapping has changed, and changes nothing.
// Covers W10.
func TestTwoEditors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first, second := newBrowser(s, "alice"), newBrowser(s, "alice")
	for _, b := range []*browser{first, second} {
		b.open(view{})
		b.load("/mappings/orders-2026")
	}
	first.follow("button", "Disable")
	first.see("disabled")
	before := s.users()
	if !strings.Contains(before, "disabled: true") {
		t.Fatalf("the file is unchanged\n%s", before)
	}
	second.on("button", "Disable")
	second.do("follow", nil, nil)
	second.see("changed")
	for _, complaint := range second.complaints() {
		if !strings.Contains(complaint, "status of 412") {
			t.Error(complaint)
		}
	}
	second.check("conflict")
	if after := s.users(); after != before {
		t.Errorf("the second editor has overwritten the first: got\n%s\nwant\n%s", after, before)
	}
	second.follow("link", "Mappings")
	second.follow("link", "orders-2026")
	second.follow("button", "Enable")
	s.expect(http.StatusOK, s.pair("orders"), "GET", "internal", "/orders/7")
}

// users returns the file of users.
func (s *site) users() string {
	s.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "users.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	return string(data)
}
