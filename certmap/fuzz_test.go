package certmap_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/trust"
)

func FuzzSubjectText(f *testing.F) {
	for _, text := range []string{"CN=alice,OU=Staff,O=Acme", "CN=a+OU=b, O = c", `CN=\#a\,\2C\C3\BC`, "1.2.3.4=#0C0161", "E=a@b", "CN={user}", "CN=\u202e", `CN="x"`, "2.999.1=a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := certmap.ParseSubject(text)
		if err != nil {
			return
		}
		printed := name.String()
		again, err := certmap.ParseSubject(printed)
		if err != nil || again != name {
			t.Errorf("%q is printed as %q and read back as %q, %v", text, printed, again, err)
		}
		sound(t, printed)
	})
}

func FuzzSubjectDER(f *testing.F) {
	for _, sets := range [][][]attr{each(o("Acme"), cn("alice")), {{cn("a"), ou("b")}}, each(cn("a\x00"), ou("é")), each(attr{oidCN, 30, "\x00a"}), nil} {
		f.Add(rawSubject(sets...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		name, err := certmap.SubjectOf(&x509.Certificate{RawSubject: raw})
		if err != nil {
			return
		}
		printed := name.String()
		again, err := certmap.ParseSubject(printed)
		if err != nil || again != name {
			t.Errorf("%x is printed as %q and read back as %q, %v", raw, printed, again, err)
		}
		sound(t, printed)
	})
}

// sound fails where a name that somebody may have holds what does not show.
func sound(t *testing.T, name string) {
	t.Helper()
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool {
		return unicode.Is(unicode.C, r) || unicode.Is(unicode.Bidi_Control, r) || r != ' ' && unicode.IsSpace(r)
	}) {
		t.Errorf("%q is somebody's", name)
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"", "mappings: []", "mappings: [{id: a, user: b, serial: 1000, issuer: ca.pem, ports: [p]}]",
		"mappings:\n- &a {id: a, user: '{user}', uri: 'spiffe://a/{user}', issuer: x, not_before: 2026-01-01}\n- *a\n",
		"mappings: &m [*m]", "a: &a [*a]\nmappings: *a", "mappings: [{<<: {id: a}}]", "mappings: []\n---\n", "\xff\xfe",
		"mappings: [{id: a, user: b, subject: 'CN=x', issuer: " + digest1 + ", disabled: true}]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		mappings, err := certmap.Read("users.yaml", data, fixed(trust.Digest{1}), certmap.WithPorts("p"))
		if err != nil {
			if mappings != nil {
				t.Error("mappings with a mistake")
			}
			return
		}
		// What Read takes, New takes, and gives back as it was.
		again, err := certmap.New(mappings...)
		if err != nil || again.Len() != len(mappings) {
			t.Errorf("%q: read, and refused by New: %v", data, err)
		}
	})
}

// FuzzURI has a mapping for what the fuzzer takes for a URI: it is refused, or
// then it can be read in one way only.
func FuzzURI(f *testing.F) {
	for _, uri := range []string{"spiffe://acme/ns/{user}", "https://a:1/b?c", "urn:a:b", "spiffe://A/..", "x:%2e"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if _, err := certmap.New(certmap.Mapping{ID: "a", User: "x", URI: uri, Issuer: trust.Digest{1}}); err != nil {
			return
		}
		lower := strings.ToLower(uri)
		for _, bad := range []string{"/../", "/./", "%2e", "%2f", "%5c", "%00", "\\", "#", "\x00", " "} {
			if strings.Contains(lower+"/", bad) && !strings.Contains(uri, "?") {
				t.Errorf("%q holds %q", uri, bad)
			}
		}
	})
}
