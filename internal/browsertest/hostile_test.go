package browsertest_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// hostileNames are common names that would do something in a page, with what the page must show.
var hostileNames = map[string]string{
	"<script>alert(1)</script>":      "<script>alert(1)</script>",
	"<img src=x onerror=alert(2)>":   "<img src=x onerror=alert(2)>",
	"\"><svg onload=alert(3)>":       "<svg onload=alert(3)>",
	"</title></main><h1>all is well": "</title></main><h1>all is well",
	"javascript:alert(4)":            "javascript:alert(4)",
	"{{.Me.User}}":                   "{{.Me.User}}",
}

// Text that callers chose, such as the names in their certificates, is only text in every list: it
// runs nothing, hides nothing, and reverses no line. Covers W4.
func TestHostileNamesAreText(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ca := s.pair("client-ca")
	s.put("users.yaml", s.users()+`  - {id: markup, user: markup, subject: "CN=\\<b onclick=alert(1)\\>bold\\</b\\>,O=Acme", issuer: client-ca.pem}`+"\n")
	if err := s.server.Reload(); err != nil {
		t.Fatal(err)
	}
	var shown []string
	for name, show := range hostileNames {
		leaf := ca.Leaf("", func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: name, Organization: []string{"Acme"}} })
		s.expect(http.StatusForbidden, leaf, "GET", "internal", "/orders/"+strings.NewReplacer("<", "%3C", ">", "%3E", " ", "%20", "\"", "%22", "/", "").Replace(name))
		shown = append(shown, show)
	}
	script := ca.Leaf("", func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "<script>alert(5)</script>"} })
	for range 2 { // the overview has those who were refused most
		s.expect(http.StatusForbidden, script, "GET", "internal", "/orders/7")
	}
	full := ca.Leaf("", func(c *x509.Certificate) { c.RawSubject = subjectOf(s, 64) })
	s.expect(http.StatusForbidden, full, "GET", "internal", "/orders/7")
	for _, name := range []string{"bidi-cn", "zero-width-cn", "newline-cn", "nul-cn"} {
		s.expect(http.StatusForbidden, s.pair(name), "GET", "internal", "/orders/7")
	}
	s.expect(0, s.pair("many-attributes"), "GET", "internal", "/orders/7")
	shown = append(shown, "attribute-63", ",…", `\u202e`, `\u200b`)

	markup := ca.Leaf("", func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "<b onclick=alert(1)>bold</b>", Organization: []string{"Acme"}}
	})
	s.expect(http.StatusForbidden, markup, "GET", "internal", "/orders/7") // and stays connected
	b := newBrowser(s, "alice")
	for _, v := range []view{{}, {Width: 320, Dark: true}} {
		b.open(v)
		for path, wants := range map[string][]string{
			"/refusals":    shown,
			"/":            {"<script>alert(5)</script>"},
			"/mappings":    {"<b onclick=alert(1)>bold</b>"},
			"/connections": {"<b onclick=alert(1)"},
		} {
			b.load(path)
			b.check(path)
			text := strings.NewReplacer(`\<`, "<", `\>`, ">", `\"`, `"`, `\+`, "+").Replace(b.text()) // RFC 4514 escapes them
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("%s does not show %q\n%s", path, want, text)
				}
			}
			if i := strings.IndexAny(text, "\u202e\u200b\x00"); i >= 0 {
				t.Errorf("%s has a character that hides others: %q", path, text[max(0, i-50):min(len(text), i+50)])
			}
		}
	}
	var refusals []struct{ Reference string }
	s.get("/api/v1/refusals", &refusals)
	whole := 0
	for _, r := range refusals {
		b.load("/refusals/" + r.Reference)
		b.check("/refusals/" + r.Reference)
		if strings.Contains(b.text(), "OU=attribute-1,OU=attribute-0") {
			whole++
		}
	}
	if whole != 1 { // the list cuts long names
		t.Errorf("%d refusals show a name of 64 attributes", whole)
	}
	if reports := s.takeReports(); len(reports) > 0 {
		t.Errorf("violations of the content security policy: %q", reports)
	}
}

// subjectOf returns the DER of a subject with n attributes.
func subjectOf(s *site, n int) []byte {
	s.Helper()
	var name pkix.RDNSequence
	for i := range n {
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: fmt.Sprintf("attribute-%d", i)}})
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		s.Fatal(err)
	}
	return der
}
