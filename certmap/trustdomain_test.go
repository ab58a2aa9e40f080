package certmap_test

import (
	"context"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A mapping under a trust domain matches the certificates that the domain's bundle verified: of
// every authority in it, and of no other anchor.
// Covers B17.
func TestIssuerCanBeATrustDomain(t *testing.T) {
	t.Parallel()
	old, next, people := testpki.NewCA("acme"), testpki.NewCA("acme, next"), testpki.NewCA("people")
	domains, err := trust.New(trust.Config{Anchors: []*x509.Certificate{people.Cert}, TrustDomains: map[string][]*x509.Certificate{"acme.example": {old.Cert, next.Cert}}})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := trust.New(trust.Config{Anchors: []*x509.Certificate{old.Cert}})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []struct{ name, text string }{
		{"users.yaml", `mappings: [{id: orders, user: orders, uri: "spiffe://acme.example/orders", issuer: "spiffe://acme.example"}]`},
		{"users.jsonl", `{"id":"orders","user":"orders","uri":"spiffe://acme.example/orders","issuer":"spiffe://acme.example"}` + "\n"},
	} {
		table, err := certmap.Load(file.name, strings.NewReader(file.text))
		if err != nil {
			t.Fatal(err)
		}
		orders := uris("spiffe://acme.example/orders")
		for _, row := range []struct {
			name string
			by   *trust.Verifier
			leaf *testpki.Pair
			want string
		}{
			{"the domain's authority", domains, old.Leaf("x", orders), "orders"},
			{"the domain's next authority", domains, next.Leaf("x", orders), "orders"},
			{"an intermediate of it", domains, next.SubCA("y").Leaf("x", orders), "orders"},
			{"another service of the domain", domains, old.Leaf("x", uris("spiffe://acme.example/billing")), "[unmapped]"},
			{"the same authority, not bound to the domain", plain, old.Leaf("x", orders), "[unmapped]"},
			{"a person", domains, people.Leaf("x"), "[unmapped]"},
		} {
			v, err := row.by.Verify(context.Background(), row.leaf.Presented())
			if err != nil {
				t.Fatalf("%s: %v", row.name, err)
			}
			if got := outcome(t, table, v, "p"); got != row.want {
				t.Errorf("%s, %s: %s, want %s", file.name, row.name, got, row.want)
			}
			if row.by == plain {
				steps := table.Explain(v, "p")
				if len(steps) != 1 || steps[0].Result != mapresult.OtherIssuer || !strings.HasPrefix(steps[0].Why, "wanted under spiffe://acme.example, got ") {
					t.Errorf("got %+v, want another issuer than the trust domain", steps)
				}
			}
		}
	}
}

// An issuer that can never have issued the mapping's certificate is an error, in both forms of a
// file.
func TestTrustDomainThatNeverMatchesIsRejected(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ fields, want string }{
		{`"uri":"spiffe://acme.example/orders","issuer":"spiffe://partner.example"`, "begin with spiffe://partner.example/"},
		{`"uri":"spiffe://acme.example.evil/orders","issuer":"spiffe://acme.example"`, "begin with spiffe://acme.example/"},
		{`"serial":"12","issuer":"spiffe://acme.example"`, "direct issuer"},
		{`"uri":"spiffe://acme.example/orders","issuer":"spiffe://acme.example/"`, "is not a trust domain"},
		{`"uri":"spiffe://acme.example/orders","issuer":"spiffe://ACME.example"`, "is not a trust domain"},
		{`"uri":"spiffe://acme.example/orders","issuer":"spiffe://"`, "is not a trust domain"},
	} {
		line := `{"id":"orders","user":"orders",` + row.fields + `}`
		for name, text := range map[string]string{"users.jsonl": line + "\n", "users.yaml": "mappings: [" + line + "]\n"} {
			_, err := certmap.Load(name, strings.NewReader(text))
			all := configerror.All(err)
			if len(all) != 1 || !strings.Contains(all[0].What, row.want) || all[0].Hint == "" || all[0].Line != 1 {
				t.Errorf("%s %s: got %v, want %v", name, row.fields, err, row.want)
			}
		}
	}
}
