package trust_test

import (
	"crypto/x509"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Usage decides which extended key usage the leaf and its authorities must have, and
// nothing else.
// Covers B2, B3.
func TestUsageOfLeafAndAuthoritiesIsChecked(t *testing.T) {
	t.Parallel()
	const client, server, any = x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageAny
	ca := testpki.NewCA("CA")
	usages := func(all ...x509.ExtKeyUsage) testpki.Option {
		return func(c *x509.Certificate) { c.ExtKeyUsage = all }
	}
	sub := func(all ...x509.ExtKeyUsage) *testpki.Pair { return ca.SubCA("Sub CA", usages(all...)) }
	for _, row := range []struct {
		name             string
		who              *testpki.Pair
		asClient, server expectation
	}{
		{"client", ca.Leaf("x", usages(client)), both(""), both(reason.WrongUsage)},
		{"server", ca.Leaf("x", usages(server)), both(reason.WrongUsage), both("")},
		{"both", ca.Leaf("x", usages(server, client)), both(""), both("")},
		{"absent", ca.Leaf("x", usages()), expectation{reason.WrongUsage, ""}, expectation{reason.WrongUsage, ""}},
		{"any", ca.Leaf("x", usages(any)), both(reason.WrongUsage), both(reason.WrongUsage)},
		{"another", ca.Leaf("x", usages(x509.ExtKeyUsageCodeSigning)), both(reason.WrongUsage), both(reason.WrongUsage)},
		{"server of an authority for servers", sub(server).Leaf("x", usages(server)), both(reason.WrongUsage), both("")},
		{"server of an authority for clients", sub(client).Leaf("x", usages(server)), both(reason.WrongUsage), both(reason.WrongUsage)},
		{"client of an authority for servers", sub(server).Leaf("x", usages(client)), both(reason.WrongUsage), both(reason.WrongUsage)},
		{"an authority", ca.SubCA("x", usages(server, client)), both(reason.NotALeaf), both(reason.NotALeaf)},
	} {
		for usage, want := range map[trust.Usage]expectation{trust.UsageClient: row.asClient, trust.UsageServer: row.server} {
			for profile, wanted := range map[trust.Profile]reason.Reason{trust.Strict: want.strict, trust.Compatible: want.compatible} {
				v, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, Usage: usage, Profile: profile})
				if err != nil {
					t.Fatal(err)
				}
				if v.Usage() != usage {
					t.Errorf("a verifier for %s returns the usage %s", usage, v.Usage())
				}
				verified, err := v.Verify(t.Context(), row.who.Presented())
				if got := reasonOf(t, err); got != wanted {
					t.Errorf("%s, as %s, profile %d: %q, want %q", row.name, usage, profile, got, wanted)
				}
				if err == nil && verified.Usage() != usage {
					t.Errorf("%s was verified as %s", row.name, verified.Usage())
				}
			}
		}
	}
	if v, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, Usage: 2}); err == nil || v != nil {
		t.Error("an undefined usage is accepted")
	}
}
