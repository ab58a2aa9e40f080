package reverse_test

import (
	"crypto/x509"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A server that dials trusts gateways under a root, and callers two levels below it: who
// gets a server certificate from the callers' authority is no gateway. With the authority
// between in sight the server is not made.
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
	rogue := newFake(t, users.Server(), "")
	c := rogue.serverConfig(t, echo)
	apart()(&c)
	s := start(t, c)
	eventually(t, "refusals", func() bool { return s.events.count(reverse.Refused) >= 2 })
	if why := s.events.refused(t); why != reason.UntrustedGateway {
		t.Errorf("the event says %q", why)
	}

	genuine := newFake(t, root.SubCA("Gateways CA").Server(), "")
	c = genuine.serverConfig(t, echo)
	apart()(&c)
	s = start(t, c)
	control(t, <-genuine.conns, "welcome\n")
	<-s.Ready()

	apart(policy.Cert)(&c)
	if _, err := reverse.NewServer(c); err == nil {
		t.Error("a server is made with the authority between in sight")
	}
}
