package ports_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// The port keeps no untrusted certificate, of hundreds.
// Covers H9.
func TestUntrustedCertificatesAreNotKept(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	c, _ := config(t, ports.Require)
	counts := &counting{all: map[reason.Reason]int{}}
	c.OnHandshake = counts.count
	p := serving(t, c)
	key := testpki.NewKey()
	untrusted := func(i int) *testpki.Pair {
		return testpki.Make(nil, key, &x509.Certificate{
			Subject: pkix.Name{CommonName: fmt.Sprint("untrusted ", i)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			ExtraExtensions: []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 99999, 2}, Value: make([]byte, 14<<10)}},
		})
	}
	visit := func(i int) {
		conn, err := net.Dial("tcp", p.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fails(t, conn, clientConfig(untrusted(i)))
	}
	visit(0)
	testkit.Eventually(t, "the first connection ends", func() bool { return p.ConnCount() == 0 })
	before := tracesNow()
	const clients = 300 // 4.2 MB of certificates
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for i := next.Add(1); i <= clients; i = next.Add(1) {
				visit(int(i))
			}
		})
	}
	workers.Wait()
	testkit.Eventually(t, "every slot is free", func() bool { return p.ConnCount() == 0 })
	if n := counts.of(reason.UnknownAuthority); n != clients+1 {
		t.Errorf("%d refused as unknown-authority, want %d", n, clients+1)
	}
	before.back(t)
}

// Certificates after the leaf never change the user.
// Covers B20, B21.
func TestCertificatesBesideTheLeafNameNoUser(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Require)
	p := serving(t, c)
	low := clientCA.SubCA("Upper").SubCA("Lower").Leaf("alice") // alice, Lower, Upper
	with := func(p *testpki.Pair, chain ...*x509.Certificate) *testpki.Pair {
		return &testpki.Pair{Cert: p.Cert, Key: p.Key, Chain: chain}
	}
	for name, holder := range map[string]*testpki.Pair{
		"with a victim":   with(alice, bob.Cert),
		"unordered":       with(low, low.Chain[1], low.Chain[0]),
		"twice":           with(low, low.Chain[0], low.Chain[0], low.Chain[1], low.Cert),
		"with the anchor": with(alice, clientCA.Cert),
		"with another CA": with(alice, otherCA.Cert),
	} {
		for _, o := range []tlsOption{tls12, h1} {
			if body, _, err := dialAndGet(t, p, clientConfig(holder, o)); err != nil || !strings.Contains(body, " alice ") {
				t.Errorf("%s: got %q, %v; want the answer for alice", name, body, err)
			}
		}
	}
	// The first certificate is the leaf, and the client needs its key.
	refused(t, p, e, clientConfig(&testpki.Pair{Cert: bob.Cert, Key: alice.Key, Chain: []*x509.Certificate{alice.Cert}}), reason.BadCertificate)
	untrusted := otherCA.Leaf("alice")
	refused(t, p, e, clientConfig(with(untrusted, alice.Cert)), reason.UnknownAuthority)
	refused(t, p, e, clientConfig(with(untrusted, alice.Cert, clientCA.Cert)), reason.UnknownAuthority)
}

// Covers B19.
func TestHandshakeFetchesNothing(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer canary.Close()
	urls := func(c *x509.Certificate) {
		c.OCSPServer, c.IssuingCertificateURL, c.CRLDistributionPoints = []string{canary.URL}, []string{canary.URL}, []string{canary.URL}
	}
	c, e := config(t, ports.Require)
	c.Trust = byClientCA(t, bob) // revocation is hard
	p := serving(t, c)
	admitted(t, p, clientConfig(clientCA.Leaf("alice", urls)))
	refused(t, p, e, clientConfig(otherCA.Leaf("alice", urls)), reason.UnknownAuthority)
	alone := clientCA.SubCA("Sub", urls).Leaf("alice", urls)
	alone.Chain = nil // the port would have to fetch the issuer
	refused(t, p, e, clientConfig(alone), reason.UnknownAuthority)
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// The event of a connection contains no secret, such as the keys of its session.
// Covers L10.
func TestHandshakeEventsHoldNoKeys(t *testing.T) {
	t.Parallel()
	for _, o := range []tlsOption{tls12, h1} {
		c, e := config(t, ports.Require)
		p := serving(t, c)
		var log bytes.Buffer
		good, err := dial(t, p, clientConfig(alice, o, func(c *tls.Config) { c.KeyLogWriter = &log }))
		if err != nil {
			t.Fatal(err)
		}
		events := fmt.Sprintf("%+v", e.of(t, good.local))
		bad, _ := refused(t, p, e, clientConfig(otherCA.Leaf("alice"), o), reason.UnknownAuthority)
		events += fmt.Sprintf("%+v %v", bad, bad.Err)
		secrets := 0
		for line := range strings.Lines(log.String()) {
			fields := strings.Fields(line)
			raw, err := hex.DecodeString(fields[len(fields)-1])
			if err != nil || len(raw) < 32 {
				t.Fatalf("no secret: %q", line)
			}
			secrets++
			for _, text := range []string{string(raw), hex.EncodeToString(raw), fmt.Sprint(raw)} {
				if strings.Contains(events, text) {
					t.Errorf("%s is in an event", fields[0])
				}
			}
		}
		if secrets == 0 {
			t.Error("the client logged no keys: this test checks nothing")
		}
	}
}
