package forwarded_test

import (
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

func withGatewayName(c *x509.Certificate) { c.DNSNames = []string{gatewayDNS} }

// A certificate under the users' authority does not identify a gateway, whatever its name, and
// one under the gateways' authority does not identify a user, even if only the chain contains
// the authority in between.
//
// Covers F18.
func TestGatewaysAndUsersAreApartAtAnyDepth(t *testing.T) {
	t.Parallel()
	root := testpki.NewCA("Root")
	policy := root.SubCA("Policy CA")
	usersCA := policy.SubCA("Users CA")
	below := usersCA.SubCA("Below CA")
	gatewaysCA := root.SubCA("Gateways CA")
	gateway := gatewaysCA.Leaf("gateway", withGatewayName)
	users := verifier(trust.Config{Anchors: certs{usersCA.Cert}})
	roots := verifier(trust.Config{Anchors: certs{root.Cert}})
	names := func(c *forwarded.Config) { c.Users, c.Gateways.Trust = users, roots }

	r := receiver(t, forwarded.RFC9440(), names)
	rogue := usersCA.Leaf("mallory", withGatewayName)
	for name, x := range map[string]struct {
		pair    *testpki.Pair
		gateway bool
	}{
		"a gateway":                         {gateway, true},
		"a user with its name":              {rogue, false},
		"a user further below":              {below.Leaf("mallory", withGatewayName), false},
		"an authority of users as a client": {policy.Leaf("gateway", withGatewayName), true}, // above the users' anchor
	} {
		if got := r.IsGateway(verifiedBy(t, roots, x.pair)); got != x.gateway {
			t.Errorf("%s: a gateway: %t, want %t", name, got, x.gateway)
		}
	}
	// A fingerprint identifies exactly one certificate.
	pinned := receiver(t, forwarded.RFC9440(), names, func(c *forwarded.Config) {
		c.Gateways.Names, c.Gateways.Pins = nil, []trust.Digest{trust.FingerprintOf(rogue.Cert)}
	})
	if !pinned.IsGateway(verifiedBy(t, roots, rogue)) {
		t.Error("a pinned certificate is not a gateway's")
	}

	// In reverse: users are under the root, gateways further below.
	deepGateways := verifier(trust.Config{Anchors: certs{usersCA.Cert}})
	r = receiver(t, forwarded.RFC9440(), func(c *forwarded.Config) { c.Users, c.Gateways.Trust = roots, deepGateways })
	for name, x := range map[string]struct {
		pair *testpki.Pair
		want reason.Reason
	}{
		"a user":                            {gatewaysCA.Leaf("alice"), ""},
		"a certificate of the gateways' CA": {usersCA.Leaf("alice"), reason.UnknownAuthority},
		"one further below":                 {below.Leaf("alice"), reason.UnknownAuthority},
	} {
		for range 2 { // the refusal is not cached
			err, got := verifyRFC9440(t, r, x.pair), reason.Reason("")
			if err != nil {
				got = reasonOf(t, err)
			}
			if got != x.want {
				t.Errorf("%s: %q, want %q", name, got, x.want)
			}
		}
	}

	// New rejects shared authorities in its configuration.
	knowing := verifier(trust.Config{Anchors: certs{root.Cert}, CRLIssuers: certs{policy.Cert}})
	for _, c := range []forwarded.Config{
		{Topology: forwarded.RFC9440(), Users: users, Gateways: forwarded.Gateways{Names: []string{gatewayDNS}, Trust: knowing}},
		{Topology: forwarded.RFC9440(), Users: knowing, Gateways: forwarded.Gateways{Names: []string{gatewayDNS}, Trust: users}},
	} {
		if _, err := forwarded.New(c); err == nil || !strings.Contains(errorTexts(err), "also issues for users") {
			t.Errorf("New accepts it: %v", err)
		}
	}
}

// verifyRFC9440 verifies a certificate and its chain in the headers of RFC 9440.
func verifyRFC9440(t *testing.T, r *forwarded.Receiver, pair *testpki.Pair) error {
	t.Helper()
	encode := func(c *x509.Certificate) string { return ":" + base64.StdEncoding.EncodeToString(c.Raw) + ":" }
	var chain []string
	for _, c := range pair.Chain {
		chain = append(chain, encode(c))
	}
	h := http.Header{"Client-Cert": {encode(pair.Cert)}}
	if len(chain) > 0 {
		h.Set("Client-Cert-Chain", strings.Join(chain, ", "))
	}
	_, err := r.Verify(t.Context(), r.Read(h, nil))
	return err
}
