package reverse_test

import (
	"crypto/x509"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// The server trusts gateways below a root, and users two levels below the same root. A server
// certificate from the users' authority does not make its holder a gateway. If the
// configuration has the authority in between, NewServer returns an error.
//
// Covers F18.
func TestCallersAuthorityFarBelowTheGatewaysRootMakesNoGateway(t *testing.T) {
	t.Parallel()
	root := testpki.NewCA("Root")
	policy := root.SubCA("Policy CA")
	users := policy.SubCA("Users CA")
	apart := func(known ...*x509.Certificate) func(*reverse.ServerConfig) {
		return func(c *reverse.ServerConfig) {
			c.Gateways.Trust = must[*trust.Verifier](t)(trust.New(trust.Config{Anchors: []*x509.Certificate{root.Cert}, CRLIssuers: known, Usage: trust.UsageServer}))
			c.Users = must[*trust.Verifier](t)(trust.New(trust.Config{Anchors: []*x509.Certificate{users.Cert}}))
		}
	}
	rogue := newFakeGateway(t, users.Server(), "")
	c := rogue.serverConfig(t, echo)
	apart()(&c)
	s := startServer(t, c)
	testkit.Eventually(t, "refusals", func() bool { return s.events.count(reverse.Refused) >= 2 })
	if why := s.events.waitForRefusal(t); why != reason.UntrustedGateway {
		t.Errorf("the reason is %q, want %q", why, reason.UntrustedGateway)
	}

	genuine := newFakeGateway(t, root.SubCA("Gateways CA").Server(), "")
	c = genuine.serverConfig(t, echo)
	apart()(&c)
	s = startServer(t, c)
	openControl(t, <-genuine.conns, "welcome\n")
	<-s.Ready()

	apart(policy.Cert)(&c)
	if _, err := reverse.NewServer(c); err == nil {
		t.Error("NewServer accepted a gateways' root above the users' authority")
	}
}
