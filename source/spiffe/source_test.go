package guardspiffe_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	guardspiffe "github.com/mtlsguard/mtlsguard/source/spiffe"
	"github.com/mtlsguard/mtlsguard/trust"
)

// The start waits for an SVID, and no longer than Wait or the context.
func TestStartWaitsForTheFirstSVID(t *testing.T) {
	t.Parallel()
	w := &world{TB: t, agent: newAgent(t), acme: authority("acme.example"), partner: authority("partner.example")}
	c := w.config()
	check := func(name, addr string, parts ...string) {
		t.Helper()
		c.Addr = addr
		for c.Wait = 300 * time.Millisecond; ; c.Wait *= 8 { // on a busy machine the agent answers later
			_, err := guardspiffe.New(t.Context(), c)
			all := configerror.All(err)
			if len(all) == 1 && contains(strings.Replace(all[0].What, c.Wait.String(), "WAIT", 1), parts...) && all[0].Hint != "" {
				return
			}
			if c.Wait > 10*time.Second {
				t.Errorf("%s: got %v, want one error with %q and a hint", name, err, parts)
				return
			}
		}
	}
	check("not registered", w.agent.addr(), w.agent.addr(), "within WAIT: ", "PermissionDenied", "no identity issued")
	check("no agent", "unix://"+filepath.Join(t.TempDir(), "none.sock"), "none.sock", "no such file")
	check("no address", "agent.sock", "agent.sock", "scheme")
	os.Unsetenv("SPIFFE_ENDPOINT_SOCKET")
	check("an empty address", "", "Workload API")
	w.send(svid(w.acme, "spiffe://acme.example/billing"))
	c.ID = ordersID
	check("another ID", w.agent.addr(), `no SVID with the ID "`+ordersID+`"`, "spiffe://acme.example/billing")

	c.Wait = 0
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := guardspiffe.New(ctx, c); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	started := make(chan *guardspiffe.Source)
	go func() {
		s, err := guardspiffe.New(t.Context(), c)
		if err != nil {
			t.Error(err)
		}
		started <- s
	}()
	w.send(svid(w.acme, "spiffe://acme.example/billing"), svid(w.acme, ordersID))
	s := <-started
	defer s.Close()
	if s.ID() != ordersID {
		t.Error(s.ID())
	}
}

// While the agent is away the last SVID is presented until it expires, and not longer. The agent's
// return is noticed.
func TestLastSVIDServesWhileTheAgentIsAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := svid(w.acme, ordersID, endsIn(time.Hour))
	w.send(first)
	w.presents(first)
	w.agent.stop()
	testkit.Eventually(t, "the error", func() bool { return contains(w.log.String(), "level=WARN", "the Workload API has an error") })
	w.presents(first)
	if len(w.source.Bundles()) != 2 {
		t.Error(w.source.Bundles())
	}
	w.clock.Advance(time.Hour + time.Minute)
	if c, err := w.source.GetCertificate(nil); err == nil || c != nil || !contains(err.Error(), ordersID, "has expired at", w.agent.addr()) {
		t.Errorf("got %v, %v; want an error that names the expired SVID", c, err)
	}
	next := svid(w.acme, ordersID)
	w.send(next)
	w.agent.start()
	w.presents(next)
}

// An update without the chosen ID leaves the SVID in effect, and takes the bundles: a federation that
// is withdrawn ends.
func TestUpdateWithoutTheChosenIDTakesTheBundles(t *testing.T) {
	t.Parallel()
	w := &world{TB: t, agent: newAgent(t), acme: authority("acme.example"), partner: authority("partner.example")}
	first := svid(w.acme, ordersID)
	w.send(first)
	c := w.config()
	c.ID = ordersID
	w.source = must[*guardspiffe.Source](t)(guardspiffe.New(t.Context(), c))
	defer w.source.Close()
	w.agent.send([]*testpki.Pair{w.acme}, nil, svid(w.acme, "spiffe://acme.example/billing"))
	testkit.Eventually(t, "the end of the federation", func() bool { return len(w.source.Bundles()) == 1 })
	w.presents(first)
	if text := w.log.String(); !contains(text, "level=WARN", "no SVID with the ID") {
		t.Error(text)
	}
}

// An update that cannot be used changes nothing.
func TestUpdateWithAnErrorIsIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := svid(w.acme, ordersID)
	w.send(first)
	w.presents(first)
	other := svid(w.acme, ordersID)
	wrongKey := &testpki.Pair{Cert: other.Cert, Key: testpki.NewKey()}
	ca := testpki.NewCA("leaf", func(c *x509.Certificate) { c.URIs = first.Cert.URIs })
	for name, wrong := range map[string][]*testpki.Pair{"nothing": nil, "another key": {wrongKey}, "an authority": {ca}} {
		before := w.log.String()
		w.send(wrong...)
		testkit.Eventually(t, name, func() bool { return contains(w.log.String()[len(before):], "level=WARN") })
		w.presents(first)
		w.send(first) // the next error is another one
		testkit.Eventually(t, "the update", func() bool { return contains(w.log.String()[len(before):], "level=INFO") })
	}
}

// An authority that cannot be an anchor is left out: a partner's bundle does not stop the renewal of
// the own one.
func TestUselessAuthorityIsLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	leaf := svid(w.partner, "spiffe://partner.example/leaf") // no authority
	nameless := authority("partner.example", func(c *x509.Certificate) { c.Subject = pkix.Name{} })
	next := authority("acme.example")
	w.agent.send([]*testpki.Pair{w.acme, next}, map[string][]*testpki.Pair{"partner.example": {leaf, nameless, w.partner}, "other.example": {nameless}}, svid(w.acme, ordersID))
	testkit.Eventually(t, "the new bundle", func() bool { return len(w.source.Bundles()["acme.example"]) == 2 })
	bundles := w.source.Bundles()
	if len(bundles) != 2 || len(bundles["partner.example"]) != 1 || !bundles["partner.example"][0].Equal(w.partner.Cert) {
		t.Errorf("got %v, want two bundles, one of partner.example", bundles)
	}
	if _, err := trust.New(trust.Config{TrustDomains: bundles}); err != nil {
		t.Error(err)
	}
	if text := w.log.String(); !contains(text, "is left out", "partner.example, authority 1", "partner.example, authority 2", "other.example, authority 1", "is not a CA certificate", "has an empty subject") {
		t.Error(text)
	}
}
