package certmap_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Nearest names the mapping that comes nearest to a certificate that has no user, and the part
// that differs. It finds a mapping with the certificate's values however large the table is.
func TestNearestNamesTheMappingAndTheDifference(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.leaf(t, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "carol", OrganizationalUnit: []string{"Sales"}, Organization: []string{"Acme"}}
		id, _ := url.Parse("spiffe://acme/ns/test/sa/orders")
		c.URIs, c.DNSNames, c.EmailAddresses = []*url.URL{id}, []string{"orders.acme.example"}, []string{"carol@acme.example"}
	})
	const full = "CN=carol,OU=Sales,O=Acme"
	mapping := func(m certmap.Mapping) certmap.Mapping {
		m.ID, m.User, m.File, m.Line = "near", "carol", "users.yaml", 7
		if m.Issuer.IsZero() && m.Fingerprint.IsZero() && m.SPKI.IsZero() {
			m.Issuer = w.key
		}
		return m
	}
	past := time.Now().Add(-time.Hour)
	for _, row := range []struct {
		name         string
		m            certmap.Mapping
		result, want string // of the step; "" for none
	}{
		{"disabled", certmap.Mapping{Subject: full, Disabled: true}, "disabled", "a disabled mapping still matches"},
		{"out of time", certmap.Mapping{Subject: full, NotAfter: past}, "out of time", "was valid until"},
		{"other port", certmap.Mapping{Subject: full, Ports: []string{"q"}}, "other port", `for "q" only, and this is "p"`},
		{"other issuer", certmap.Mapping{Subject: full, Issuer: w.otherKey}, "other issuer", "wanted under " + w.otherKey.String()},
		{"spki as fingerprint", certmap.Mapping{Fingerprint: v.SPKI()}, "near miss", "write it as spki"},
		{"fingerprint as spki", certmap.Mapping{SPKI: v.Fingerprint()}, "near miss", "write it as fingerprint"},
		{"key of the issuer", certmap.Mapping{SPKI: w.key}, "near miss", "the key of the certificate's issuer"},
		{"case", certmap.Mapping{Subject: "CN=Carol,OU=Sales,O=Acme"}, "near miss", "differs in case"},
		{"attribute", certmap.Mapping{Subject: "CN=carol,OU=Staff,O=Acme"}, "differs", `wanted "OU=Staff", got "OU=Sales"`},
		{"attribute of a pattern", certmap.Mapping{Subject: "CN={user},OU=Staff,O=Acme"}, "differs", `wanted "OU=Staff", got "OU=Sales"`},
		{"segment", certmap.Mapping{URI: "spiffe://acme/ns/prod/sa/orders"}, "differs", `segment 5: wanted "prod", got "test"`},
		{"label", certmap.Mapping{DNS: "orders.acme.test"}, "differs", `label 3: wanted "test", got "example"`},
		{"domain", certmap.Mapping{Email: "carol@acme.test"}, "differs", `part 2: wanted "acme.test", got "acme.example"`},
		{"nothing alike", certmap.Mapping{Subject: "CN=bob,O=Elsewhere"}, "", ""},
		{"another fingerprint", certmap.Mapping{Fingerprint: trust.Digest{1}}, "", ""},
	} {
		m := mapping(row.m)
		if strings.Contains(m.Subject, "{user}") {
			m.User = "{user}"
		}
		small := table(t, m)
		if _, err := small.Map(t.Context(), v, "p"); err == nil {
			t.Errorf("%s: the mapping matches", row.name)
		}
		s, ok := small.Nearest(v, "p")
		if ok != (row.result != "") || s.Result != row.result || !strings.Contains(s.Why, row.want) || ok && (s.File != "users.yaml" || s.Line != 7 || s.MappingID != "near") {
			t.Errorf("%s: got %t %+v, want %v", row.name, ok, s, row.want)
		}
		if row.result == "differs" || row.result == "" || row.name == "case" {
			continue
		}
		large := table(t, append(many("fingerprint", 5000, trust.Digest{}), m)...)
		if s, ok := large.Nearest(v, "p"); !ok || s.MappingID != "near" {
			t.Errorf("%s, last of many: %t %+v", row.name, ok, s)
		}
	}
	if _, ok := table(t).Nearest(v, "p"); ok {
		t.Error("an empty table has a nearest mapping")
	}
	if _, ok := (*certmap.Table)(nil).Nearest(trust.Verified{}, "p"); ok {
		t.Error("no table has a nearest mapping")
	}
}

// The work of Nearest does not grow with the table.
func TestNearestComparesABoundedNumberOfMappings(t *testing.T) {
	w := newWorld(t)
	v := w.leaf(t, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "carol", OrganizationalUnit: []string{"Staff"}, Organization: []string{"Acme"}}
	})
	small, large := table(t, many("subject", 200, w.key)...), table(t, many("subject", 20_000, w.key)...)
	cost := func(x *certmap.Table) float64 {
		return testing.AllocsPerRun(5, func() {
			if _, ok := x.Nearest(v, "p"); !ok {
				t.Error("none is near")
			}
		})
	}
	if few, more := cost(small), cost(large); more > few+2 {
		t.Errorf("%v allocations with 200 mappings, %v with 20,000", few, more)
	}
}

// BenchmarkNearest finds the nearest of 100,000 mappings of one kind.
func BenchmarkNearest(b *testing.B) {
	w := newWorld(b)
	v := w.leaf(b, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "carol", OrganizationalUnit: []string{"Sales"}, Organization: []string{"Acme"}}
		id, _ := url.Parse("spiffe://acme/ns/test/sa/orders")
		c.URIs, c.DNSNames, c.EmailAddresses = []*url.URL{id}, []string{"orders.acme.example"}, []string{"carol@acme.example"}
	})
	for _, kind := range benchKinds {
		x := table(b, many(kind, 100_000, w.key)...)
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.Nearest(v, "p")
			}
		})
	}
}
