package guardspiffe_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

const configuration = `users: users.yaml
policy: policy.csv
reload: 1s
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    trust:
      trust_domains:
        - {name: acme.example, anchors: [spiffe/acme.example.pem]}
        - {name: partner.example, anchors: [spiffe/partner.example.pem]}
    limits: {drain: 1s}
`

const users = `mappings:
  - {id: billing, user: billing, uri: "spiffe://acme.example/billing", issuer: "spiffe://acme.example"}
  - {id: partner, user: "{user}", uri: "spiffe://partner.example/{user}", issuer: "spiffe://partner.example"}
`

// serve serves the configuration with the certificate and the bundles of the source, and returns
// the URL.
func (w *world) serve() string {
	w.Helper()
	dir := w.TempDir()
	for name, text := range map[string]string{"mtlsguard.yaml": configuration, "users.yaml": users, "policy.csv": "p, group:Authenticated, *, GET, /*, allow\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			w.Fatal(err)
		}
	}
	ready := make(chan struct{})
	server, err := mtlsguard.OpenFS(w.source.Files(os.DirFS(dir), "spiffe"), "mtlsguard.yaml", mtlsguard.Options{
		Certificates: map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error){"internal": w.source.GetCertificate},
		Ready:        func() { close(ready) }, Log: mtlsguard.JSONLog(&w.log, nil),
	})
	if err != nil {
		w.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, whoami) }()
	w.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	<-ready
	return localhost("https://" + server.Ports()[0].Addr().String() + "/")
}

// A port of the file presents the SVID and verifies callers by the bundles: the services of two
// trust domains have their users, and no other caller has one. A bundle that changes, and one that
// is withdrawn, take effect while the server runs. Covers B17.
func TestPortOfAFileUsesTheWorkloadAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve()
	billing, partner := svid(w.acme, "spiffe://acme.example/billing"), svid(w.partner, "spiffe://partner.example/shop")
	for name, row := range map[string]struct {
		holder *testpki.Pair
		want   string
	}{
		"a service":                            {billing, "200 billing"},
		"a service of the partner":             {partner, "200 shop"},
		"a service without a mapping":          {svid(w.acme, ordersID), "403"},
		"forged by the partner":                {svid(w.partner, "spiffe://acme.example/billing"), "refused"},
		"the partner's, forged":                {svid(w.acme, "spiffe://partner.example/shop"), "refused"},
		"a trust domain that is not federated": {svid(authority("other.example"), "spiffe://other.example/billing"), "refused"},
		"no certificate":                       {nil, "refused"},
	} {
		if got := get(w.client(row.holder), url); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
	res, err := w.client(billing).Get(url)
	if err != nil || res.TLS.PeerCertificates[0].URIs[0].String() != ordersID {
		t.Fatalf("the port does not present the SVID: %v", err)
	}
	res.Body.Close()

	next := authority("acme.example")
	fresh := svid(next, "spiffe://acme.example/billing")
	w.agent.send([]*testpki.Pair{w.acme, next}, nil, svid(w.acme, ordersID))                                        // and the federation is withdrawn
	open, old, renewed := w.client(partner), w.client(billing, testkit.Resuming), w.client(fresh, testkit.Resuming) // few connections: there is a limit for each address
	testkit.Eventually(t, "the new authority", func() bool { return get(renewed, url) == "200 billing" })
	testkit.Eventually(t, "the end of the federation", func() bool { return get(open, url) == "refused" })
	if got := get(old, url); got != "200 billing" {
		t.Error(got)
	}
	w.agent.send([]*testpki.Pair{next}, nil, svid(w.acme, ordersID))
	testkit.Eventually(t, "the end of the old authority", func() bool { return get(old, url) == "refused" })
	if got := get(renewed, url); got != "200 billing" {
		t.Error(got)
	}
	if text := w.log.String(); !contains(text, "sends no bundle", "trust_domain=partner.example") {
		t.Error(text)
	}
}

// Many renewals under load fail no request, and every connection gets the newest SVID. A renewal
// with the same bundles is no change of the trust: sessions resume.
func TestSVIDIsRenewedUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve()
	var calls, resumed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			c := w.client(svid(w.acme, "spiffe://acme.example/billing"), testkit.Resuming)
			for ctx.Err() == nil {
				res, err := c.Get(url)
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Error(res.Status)
				}
				calls.Add(1)
				if res.TLS.DidResume {
					resumed.Add(1)
				}
			}
		}()
	}
	for range 20 {
		next, before := svid(w.acme, ordersID), calls.Load()
		w.send(next)
		w.presents(next)
		testkit.Eventually(t, "calls", func() bool { return calls.Load() >= before+4 })
		res, err := w.client(svid(w.acme, "spiffe://acme.example/billing")).Get(url)
		if err != nil || !res.TLS.PeerCertificates[0].Equal(next.Cert) {
			t.Fatalf("not the newest SVID: %v", err)
		}
		res.Body.Close()
	}
	stop()
	for range 4 {
		<-done
	}
	if resumed.Load() == 0 {
		t.Errorf("none of %d connections resumed a session", calls.Load())
	}
	if n := strings.Count(w.log.String(), `"event":"reload"`); n != 0 {
		t.Errorf("%d reloads for the same bundles", n)
	}
}

// Outgoing calls present the SVID of the moment, to the listed origins only, and verify the server
// by the bundle of the workload's own trust domain.
func TestOutgoingCallsPresentTheCurrentSVID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve()
	keys := w.source.Keystore("self", strings.TrimSuffix(url, "/"))
	presented := ""
	transport := must[*outbound.Transport](t)(outbound.New(outbound.Config{
		Keystore: keys, Roots: w.source.Roots(), Default: "self", Now: w.clock.Now,
		OnHandshake: func(h outbound.Handshake) { presented = h.Fingerprint }, // one call at a time
	}))
	defer transport.Close()
	c := &http.Client{Transport: transport, Timeout: testkit.Patience}
	for range 3 {
		p := svid(w.acme, "spiffe://acme.example/billing", endsIn(time.Hour))
		w.send(p)
		w.presents(p)
		if got := get(c, url); got != "200 billing" || presented != trust.FingerprintOf(p.Cert).String() {
			t.Errorf("%s, presented %s", got, presented)
		}
	}
	if got := get(c, strings.Replace(url, "localhost", "127.0.0.1", 1)); got != "refused" {
		t.Errorf("an origin that is not listed: %s", got)
	}
	if _, err := keys.Credential("other"); err != outbound.ErrUnknownAlias {
		t.Error(err)
	}
	w.clock.Advance(2 * time.Hour)
	if got := get(c, url); got != "refused" {
		t.Errorf("with an SVID that has expired: %s, want refused", got)
	}
	foreign := testkit.Client(t, w.partner.Pool(), svid(w.partner, "spiffe://partner.example/shop"))
	if got := get(foreign, url); got != "refused" {
		t.Errorf("a server of another trust domain is verified: %s, want refused", got)
	}
}

// Outgoing calls go on while the SVID is renewed, and while the agent restarts: none fails.
func TestOutgoingCallsGoOnDuringRenewals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve()
	const id = "spiffe://acme.example/billing"
	first := svid(w.acme, id)
	w.send(first)
	w.presents(first)
	transport := must[*outbound.Transport](t)(outbound.New(outbound.Config{Keystore: w.source.Keystore("self"), Roots: w.source.Roots(), Default: "self"}))
	defer transport.Close()
	c := &http.Client{Transport: transport, Timeout: testkit.Patience}
	ctx, stop := context.WithCancel(t.Context())
	var calls atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				if got := get(c, url); got != "200 billing" {
					t.Errorf("during a renewal: %s, want 200 billing", got)
				}
				calls.Add(1)
			}
		})
	}
	for n := range 10 {
		next, before := svid(w.acme, id), calls.Load()
		if n == 5 {
			w.agent.stop()
			w.send(next)
			w.agent.start()
		} else {
			w.send(next)
		}
		w.presents(next)
		testkit.Eventually(t, "calls", func() bool { return calls.Load() >= before+8 })
	}
	stop()
	all.Wait()
}

// localhost returns a URL with the name of the SVIDs in place of the address.
func localhost(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }

// A port in code follows the bundles: a change closes the connections that it no longer trusts. A
// wrong configuration leaves the last one in effect.
func TestPortInCodeFollowsTheBundles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var generations atomic.Int64
	verifier := func(bundles map[string][]*x509.Certificate) (*trust.Verifier, error) {
		return trust.New(trust.Config{TrustDomains: bundles})
	}
	port := must[*ports.Port](t)(ports.New(ports.Config{
		Name: "internal", Addr: "127.0.0.1:0", ClientAuth: ports.Require, Certificate: w.source.GetCertificate,
		Trust: must[*trust.Verifier](t)(verifier(w.source.Bundles())), Limits: ports.Limits{Drain: time.Second},
	}))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go w.source.Follow(ctx, func(bundles map[string][]*x509.Certificate) error {
		generations.Add(1)
		c := port.Config()
		var err error
		if c.Trust, err = verifier(bundles); err != nil {
			return err
		}
		return port.Reconfigure(c)
	})
	l, err := port.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	if err := port.Configure(srv); err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()
	testkit.Eventually(t, "the first bundles", func() bool { return generations.Load() == 1 })
	url := "https://" + port.Addr().String() + "/"
	shop, billing := w.client(svid(w.partner, "spiffe://partner.example/shop")), w.client(svid(w.acme, "spiffe://acme.example/billing"))
	if got := get(shop, localhost(url)); got != "200 " {
		t.Fatal(got)
	}
	same := svid(w.acme, ordersID)
	w.send(same)
	w.presents(same)
	w.agent.send([]*testpki.Pair{w.acme}, nil, same)
	testkit.Eventually(t, "the end of the federation", func() bool { return get(shop, localhost(url)) == "refused" })
	if got := get(billing, localhost(url)); got != "200 " {
		t.Error(got)
	}
	if n := generations.Load(); n != 2 {
		t.Errorf("%d generations for two different sets of bundles", n)
	}
}
