package outbound_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/reason"
)

func serial(n int64) testpki.Option {
	return func(c *x509.Certificate) { c.SerialNumber = big.NewInt(n) }
}

// waitThenEcho answers with the serial number of the client's certificate, in two parts. The
// second part waits for go_.
func waitThenEcho(go_ <-chan struct{}) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, r.TLS.PeerCertificates[0].SerialNumber)
		if r.URL.Path == "/slow" {
			rw.(http.Flusher).Flush()
			<-go_
		}
	}
}

// A new certificate is used by the very next call. The old connections get no more calls, and
// are closed when the last call on them ends.
// Covers J4.
func TestRenewedCredentialGetsNewConnections(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			done := make(chan struct{})
			w, s := newFixture(t), serve(t, waitThenEcho(done), v.options...)
			w.put(w.credential("alice", clientCA.Leaf("alice", serial(1))))
			transport := w.transport()
			c := &http.Client{Transport: transport}
			wantBody(t, as(t, "alice"), c, s.URL, "1")
			r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", s.URL+"/slow", nil)
			under, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			w.put(w.credential("alice", clientCA.Leaf("alice", serial(2))))
			for range 3 {
				wantBody(t, as(t, "alice"), c, s.URL, "2")
			}
			if got := transport.Stats(); got.Pools != 1 || got.Retiring != 1 {
				t.Errorf("%+v while a call of the old certificate is in flight", got)
			}
			close(done)
			if got, err := io.ReadAll(under.Body); string(got) != "1" || err != nil {
				t.Errorf("the call in flight: %q, %v", got, err)
			}
			under.Body.Close()
			if got := transport.Stats(); got.Pools != 1 || got.Retiring != 0 || got.InFlight != 0 {
				t.Errorf("%+v after it", got)
			}
			testkit.Eventually(t, "only the new connection is open", func() bool { return openConns(s) == 1 })
			wantBody(t, as(t, "alice"), c, s.URL, "2")
			if got := s.conns.Load(); got > 3 {
				t.Errorf("%d connections", got)
			}
		})
	}
}

// Drain ends a call in flight that does not end by itself.
// Covers J4.
func TestDrainEndsCallsInProgress(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			done := make(chan struct{})
			w, s := newFixture(t), serve(t, waitThenEcho(done), v.options...)
			defer close(done)
			w.config.Drain = 20 * time.Millisecond
			w.put(w.credential("alice", clientCA.Leaf("alice", serial(1))))
			c := w.client()
			r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", s.URL+"/slow", nil)
			under, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer under.Body.Close()
			w.put(w.credential("alice", clientCA.Leaf("alice", serial(2))))
			wantBody(t, as(t, "alice"), c, s.URL, "2")
			if got, err := io.ReadAll(under.Body); err == nil {
				t.Errorf("the old call succeeded: %q", got)
			}
		})
	}
}

// When an alias is removed, the next call fails, and the alias's connections are closed.
// Covers J4.
func TestRemovedAliasFails(t *testing.T) {
	t.Parallel()
	w, s := newFixture(t, "alice", "bob"), serve(t, nil)
	c := w.client()
	wantBody(t, as(t, "alice"), c, s.URL, "alice")
	wantBody(t, as(t, "bob"), c, s.URL, "bob")
	w.keys.Remove("alice")
	wantError(t, as(t, "alice"), c, s.URL, outbound.ErrUnknownAlias)
	testkit.Eventually(t, "alice's connection is closed", func() bool { return openConns(s) == 1 })
	wantBody(t, as(t, "bob"), c, s.URL, "bob")
}

// Another signer for the same certificate is the same identity: the pool stays, and the next
// handshake signs with the new signer.
// Covers J4.
func TestNewSignerForTheSameCertificateIsUsed(t *testing.T) {
	t.Parallel()
	w, s := newFixture(t), serve(t, nil)
	pair := clientCA.Leaf("alice")
	first, second := &countingSigner{Signer: pair.Key}, &countingSigner{Signer: pair.Key}
	certificate := pair.TLS()
	c := w.client()
	for i, key := range []*countingSigner{first, second} {
		certificate.PrivateKey = key
		credential, err := outbound.NewCredential("alice", certificate)
		if err != nil {
			t.Fatal(err)
		}
		w.put(credential)
		wantBody(t, as(t, "alice"), c, s.URL, "alice")
		if got := s.conns.Load(); got != 1 {
			t.Errorf("%d: %d connections", i, got)
		}
	}
	other := serve(t, nil)
	wantBody(t, as(t, "alice"), c, other.URL, "alice")
	if first.used.Load() != 1 || second.used.Load() != 1 {
		t.Errorf("the signers signed %d and %d times", first.used.Load(), second.used.Load())
	}
}

// The validity is checked on every call, also on an open connection.
// Covers J4.
func TestCertificateThatExpiresOnAnOpenConnectionIsNotPresented(t *testing.T) {
	t.Parallel()
	w, s := newFixture(t, "alice"), serve(t, nil)
	ahead := new(testkit.Clock)
	w.config.Now = ahead.Now
	c := w.client()
	wantBody(t, as(t, "alice"), c, s.URL, "alice")
	ahead.Advance(48 * time.Hour)
	wantError(t, as(t, "alice"), c, s.URL, errRefusedAs(reason.Expired))
}

// After SetRoots, no server of the old roots is called, neither on old connections nor with
// old sessions.
// Covers J8.
func TestOldRootsAreNotUsedAfterSetRoots(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w, s := newFixture(t, "alice"), serve(t, nil, v.options...)
			transport := w.transport()
			c := &http.Client{Transport: transport}
			wantBody(t, as(t, "alice"), c, s.URL, "alice")
			transport.CloseIdleConnections()
			wantBody(t, as(t, "alice"), c, s.URL, "alice")
			if events := w.takeEvents(); len(events) != 2 || events[0].Resumed || !events[1].Resumed {
				t.Fatalf("the second connection did not resume: %+v", events)
			}
			both := serverCA.Pool()
			both.AddCert(testpki.NewCA("Other CA").Cert)
			if err := transport.SetRoots(both); err != nil {
				t.Fatal(err)
			}
			wantBody(t, as(t, "alice"), c, s.URL, "alice")
			if events := w.takeEvents(); len(events) != 1 || events[0].Resumed {
				t.Errorf("a session was resumed with new roots: %+v", events)
			}
			if err := transport.SetRoots(testpki.NewCA("Other CA").Pool()); err != nil {
				t.Fatal(err)
			}
			requests := s.requests.Load()
			if got, err := get(as(t, "alice"), c, s.URL); err == nil {
				t.Errorf("a server of removed roots answers: %q", got)
			}
			if s.requests.Load() != requests {
				t.Error("a server of removed roots was called")
			}
			testkit.Eventually(t, "the old connections are closed", func() bool { return openConns(s) == 0 })
			for _, empty := range []*x509.CertPool{nil, x509.NewCertPool()} {
				if err := transport.SetRoots(empty); err == nil {
					t.Error("SetRoots accepted an empty pool")
				}
			}
		})
	}
}

// Later additions to the caller's pool have no effect.
// Covers J8.
func TestRootsAreCopied(t *testing.T) {
	t.Parallel()
	w, s := newFixture(t, "alice"), serve(t, nil)
	mine := testpki.NewCA("Other CA").Pool()
	w.config.Roots = mine
	c := w.client()
	mine.AddCert(serverCA.Cert)
	if got, err := get(as(t, "alice"), c, s.URL); err == nil {
		t.Errorf("got %q, want an error", got)
	}
}

// Close ends all calls and connections.
func TestCallsFailAfterClose(t *testing.T) {
	t.Parallel()
	w, s := newFixture(t, "alice"), serve(t, nil)
	transport := w.transport()
	c := &http.Client{Transport: transport}
	wantBody(t, as(t, "alice"), c, s.URL, "alice")
	transport.Close()
	wantError(t, as(t, "alice"), c, s.URL, net.ErrClosed)
	if err := transport.SetRoots(serverCA.Pool()); err != nil {
		t.Error(err)
	}
	wantError(t, as(t, "alice"), c, s.URL, net.ErrClosed)
	testkit.Eventually(t, "the connection is closed", func() bool { return openConns(s) == 0 })
}

// An idle pool is removed, and a pool with a call stays.
// Covers J10.
func TestIdlePoolsAreClosed(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	w, s := newFixture(t, "alice", "bob"), serve(t, waitThenEcho(done))
	w.config.IdleTimeout = 30 * time.Millisecond
	transport := w.transport()
	c := &http.Client{Transport: transport}
	if _, err := get(as(t, "bob"), c, s.URL); err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", s.URL+"/slow", nil)
	under, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "bob's pool goes", func() bool { return transport.Stats().Pools == 1 && openConns(s) == 1 })
	time.Sleep(100 * time.Millisecond)
	if got := transport.Stats(); got.Pools != 1 || got.InFlight != 1 {
		t.Errorf("got %+v, want one pool and one call in flight", got)
	}
	close(done)
	under.Body.Close()
	testkit.Eventually(t, "alice's pool goes", func() bool { now := transport.Stats(); return now.Pools == 0 && now.Retiring == 0 && openConns(s) == 0 })
	if got := transport.Stats(); got.Evicted != 0 {
		t.Errorf("got %+v, want no pool evicted", got)
	}
}

// A hanging handshake, for a call that was cancelled, does not outlive its pool.
// Covers J4.
func TestHangingHandshakeDoesNotDelayOtherCalls(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, accepted := make(chan error, 1), make(chan struct{})
	go func() {
		conn, err := silent.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		close(accepted)
		_, err = io.Copy(io.Discard, conn) // until the client closes
		closed <- err
	}()
	w, s := newFixture(t, "alice"), serve(t, nil)
	w.config.Base = &http.Transport{} // without a time limit for handshakes
	transport := w.transport()
	c := &http.Client{Transport: transport}
	ctx, cancel := context.WithCancel(as(t, "alice"))
	ended := make(chan error, 1)
	go func() {
		_, err := get(ctx, c, "https://"+silent.Addr().String())
		ended <- err
	}()
	<-accepted
	cancel()
	if err := <-ended; err == nil {
		t.Error("the call succeeded")
	}
	w.put(w.credential("alice", clientCA.Leaf("alice")))
	wantBody(t, as(t, "alice"), c, s.URL, "alice")
	select {
	case <-closed:
	case <-time.After(testkit.Patience):
		t.Error("the connection stays open")
	}
	if got := transport.Stats(); got.Retiring != 0 {
		t.Errorf("got %+v, want no pool that retires", got)
	}
}

// The end of a pool closes all of its connections and accepts no later ones.
// Covers J4.
func TestNoConnectionIsLeftAfterRotation(t *testing.T) {
	t.Parallel()
	w, s := newFixture(t, "alice"), serve(t, nil)
	transport := w.transport()
	r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", s.URL, nil)
	kept, err := transport.Dial(r, s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.KeepAlive(kept) // otherwise the garbage collector would close it
	testkit.Eventually(t, "it is open", func() bool { return openConns(s) == 1 })
	let, began := make(chan struct{}), make(chan struct{})
	w.config.Base = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		close(began)
		<-let
		return net.Dial(network, addr)
	}}
	slow := w.transport()
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithCancel(as(t, "alice"))
		go func() { <-began; cancel() }()
		_, err := get(ctx, &http.Client{Transport: slow}, s.URL)
		ended <- err
	}()
	if err := <-ended; err == nil {
		t.Error("the call succeeded")
	}
	w.keys.Remove("alice")
	wantError(t, as(t, "alice"), &http.Client{Transport: slow}, s.URL, outbound.ErrUnknownAlias)
	wantError(t, as(t, "alice"), &http.Client{Transport: transport}, s.URL, outbound.ErrUnknownAlias)
	close(let)
	testkit.Eventually(t, "both are closed", func() bool { return s.conns.Load() == 2 && openConns(s) == 0 })
}

// A call that found a pool just before its retirement does not use it.
// Covers J4.
func TestRetiredPoolTakesNoCall(t *testing.T) {
	t.Parallel()
	w := newFixture(t, "alice")
	transport := w.transport()
	r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", "https://api.partner.example", nil)
	again, err := transport.FindPool(r)
	if err != nil {
		t.Fatal(err)
	}
	if !again() {
		t.Error("the retired pool accepts calls")
	}
	w.put(w.credential("alice", clientCA.Leaf("alice")))
	if err := transport.Choose(r); err != nil {
		t.Fatal(err)
	}
	if again() {
		t.Error("the old pool accepts a call")
	}
	if got := transport.Stats(); got.Pools != 1 || got.Retiring != 0 || got.InFlight != 0 {
		t.Errorf("got %+v, want one idle pool", got)
	}
}
