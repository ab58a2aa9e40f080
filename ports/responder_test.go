package ports_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// responder answers at once until becomes sets another answer.
type responder struct {
	now   func() time.Time
	slow  atomic.Pointer[func(context.Context) (trust.Status, time.Time, error)]
	calls atomic.Int64
	most  atomic.Int64 // at one time
	under atomic.Int64
}

func (r *responder) Status(ctx context.Context, _, _ *x509.Certificate) (trust.Status, time.Time, error) {
	r.calls.Add(1)
	n := r.under.Add(1)
	defer r.under.Add(-1)
	for most := r.most.Load(); n > most && !r.most.CompareAndSwap(most, n); most = r.most.Load() {
	}
	if f := r.slow.Load(); f != nil {
		return (*f)(ctx)
	}
	return trust.StatusGood, r.now().Add(time.Hour), nil
}

func (r *responder) becomes(f func(context.Context) (trust.Status, time.Time, error)) {
	r.slow.Store(&f)
}

// after waits for d, or until ctx ends as a query over the network would.
func after(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// crowd makes n hijacked connections with the certificates of holders.
func crowd(t *testing.T, shop *workshop, p *ports.Port, n int, holders ...*testpki.Pair) []*caller {
	t.Helper()
	all := make([]*caller, n)
	var dialling sync.WaitGroup
	var next atomic.Int64
	for range 8 {
		dialling.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				own, err := dial(t, p, clientConfig(holders[int(i)%len(holders)], h1))
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(own, "GET /hijack HTTP/1.1\r\nHost: localhost\r\n\r\n")
				all[i] = own
				<-shop.started
			}
		})
	}
	dialling.Wait()
	for _, own := range all {
		if own == nil {
			t.FailNow()
		}
		t.Cleanup(func() { own.Close() })
		own.reading()
	}
	return all
}

// Covers G10: a responder that is slow, unavailable or wrong delays no deadline, holds no
// slot of the gate, and delays no revocation by a CRL.
func TestSlowResponderDelaysNoOther(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]func(context.Context) (trust.Status, time.Time, error){
		"slow": func(ctx context.Context) (trust.Status, time.Time, error) {
			return trust.StatusGood, time.Now().Add(1000 * time.Hour), after(ctx, 1500*time.Millisecond)
		},
		"unavailable": func(ctx context.Context) (trust.Status, time.Time, error) {
			<-ctx.Done()
			return trust.StatusUnknown, time.Time{}, errors.New("no answer")
		},
		"wrong": func(ctx context.Context) (trust.Status, time.Time, error) {
			return trust.StatusGood, time.Now().Add(-time.Hour), after(ctx, 1500*time.Millisecond) // good until an hour ago, each time
		},
	} {
		runOnFakeClock(t, name, func(t *testing.T) {
			var shift atomic.Int64
			now := func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
			r := &responder{now: now}
			shop := newWorkshop()
			c, _ := config(t, ports.Request)
			anchors := []*x509.Certificate{clientCA.Cert}
			c.Trust = trusting(t, trust.Config{Anchors: anchors, Responder: r, Now: now})
			c.Limits = ports.Limits{PerIP: 2000, Headers: 2 * time.Second, Handshakes: 1, Handshake: 30 * time.Second, Drain: time.Second}
			p := onPipes(t, c, shop)
			var many []*testpki.Pair
			for i := range 50 {
				many = append(many, clientCA.Leaf(fmt.Sprint("user ", i)))
			}
			all := crowd(t, shop, p, 150, many...)
			short := crowd(t, shop, p, 1, clientCA.Leaf("short", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(90 * time.Minute) }))[0]
			carol := clientCA.Leaf("carol")
			lost := crowd(t, shop, p, 1, carol)[0]

			// Every answer has ended, and one certificate has expired.
			r.becomes(slow)
			calls := r.calls.Load()
			shift.Store(int64(2 * time.Hour))
			within(t, "the expired certificate", short.ends(t), 0, 2*soon+margin)
			testkit.Eventually(t, "the responder is queried", func() bool { return r.calls.Load() > calls })

			// Deadlines of other connections still pass.
			silent, err := dial(t, p, clientConfig(nil, h1))
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(silent, "GET / HTTP/1.1\r\nHost: local")
			silent.reading()
			within(t, "headers: 2s", silent.ends(t), 0, 2*time.Second+3*soon)

			// A connection whose certificate a CRL revokes is closed without a query.
			list := clientCA.CRL(1, nil, func(l *x509.RevocationList) {
				l.NextUpdate = time.Now().Add(time.Hour) // past by the clock of this test: the list can only revoke
				l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: carol.Cert.SerialNumber, RevocationTime: time.Now()})
			})
			c.Trust = trusting(t, trust.Config{Anchors: anchors, CRLs: []*x509.RevocationList{list}, Responder: r, Now: now})
			start := time.Now()
			reconfigure(t, p, c)
			within(t, "Reconfigure", time.Since(start), 0, soon+margin)
			lost.ends(t)
			within(t, "the revoked certificate", time.Since(start), 0, soon+margin)
			if name == "slow" {
				for i, own := range all {
					if !own.open() {
						t.Fatalf("connection %d was closed, although its certificate is trusted", i)
					}
				}
			}
			if n := r.most.Load(); n > 40 {
				t.Errorf("%d queries at one time", n)
			}
		})
	}
}

// Covers G10: a handshake that waits for a responder holds no slot of the gate.
func TestHandshakeThatWaitsForAResponderHoldsNoPlace(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		r := &responder{now: time.Now}
		c, e := config(t, ports.Require)
		c.Trust = trusting(t, trust.Config{Anchors: []*x509.Certificate{clientCA.Cert}, Responder: r})
		c.Limits.Handshakes, c.Limits.Handshake = 1, 3*time.Second
		r.becomes(func(ctx context.Context) (trust.Status, time.Time, error) {
			<-ctx.Done()
			return trust.StatusUnknown, time.Time{}, ctx.Err()
		})
		p := onPipes(t, c, http.HandlerFunc(echoCaller))
		var waiting sync.WaitGroup
		defer waiting.Wait()
		for range 5 {
			waiting.Go(func() {
				own, err := dial(t, p, clientConfig(alice, h1))
				if err == nil {
					_, _, err = own.get("/")
				}
				if err == nil {
					t.Error("alice was served while her revocation state is unknown")
				}
			})
		}
		testkit.Eventually(t, "every handshake waits for the responder", func() bool { return r.under.Load() == 5 })
		start := time.Now()
		refused(t, p, e, clientConfig(otherCA.Leaf("untrusted"), h1), reason.UnknownAuthority)
		within(t, "another client", time.Since(start), 0, soon)
		waiting.Wait()
		testkit.Eventually(t, "every handshake is refused", func() bool { return e.count(reason.RevocationUnknown)+e.count(reason.Timeout) == 5 })
	})
}

// Covers V5: a connection uses an answer of a responder only until its end, also under soft,
// with requests and without.
func TestSoftAnswerOfAnOpenConnectionEnds(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		var shift atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
		r := &responder{now: now}
		shop := newWorkshop()
		c, _ := config(t, ports.Require)
		c.Trust = trusting(t, trust.Config{Anchors: []*x509.Certificate{clientCA.Cert}, Revocation: trust.RevocationSoft, Responder: r, Now: now})
		p := onPipes(t, c, shop)
		open := map[string]*caller{}
		for name, o := range protocols {
			open[name] = admitted(t, p, clientConfig(alice, o))
		}
		hijacked := shop.hijack(t, p, clientConfig(alice, h1))
		hijacked.echoes(t)
		hijacked.reading()
		r.becomes(func(context.Context) (trust.Status, time.Time, error) { return trust.StatusRevoked, time.Time{}, nil })
		shift.Store(int64(2 * time.Hour))
		within(t, "hijacked", hijacked.ends(t), 0, 2*soon+margin)
		for name, own := range open {
			if body, _, err := own.get("/"); err != nil || !strings.Contains(body, string(reason.Revoked)) {
				t.Errorf("%s: got %q, %v; want %s", name, body, err, reason.Revoked)
			}
		}
	})
}
