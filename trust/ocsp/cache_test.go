package ocsp_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

var tryLater = []byte{0x30, 3, 10, 1, 3}

func TestAnswersAreKept(t *testing.T) {
	for _, status := range []trust.Status{trust.StatusGood, trust.StatusRevoked} {
		w := newWorld(t)
		serve := func() {
			w.responder.answer(w.reply(func(r *reply) {
				if status == trust.StatusRevoked {
					isRevoked(r)
				}
			}))
		}
		serve()
		for range 5 {
			w.expect(t, status)
		}
		w.responder.wantQueries(t, 1)
		w.clock.forward(59 * minute)
		w.expect(t, status)
		w.responder.wantQueries(t, 1)
		w.clock.forward(2 * minute) // MaxAge, though the next update is an hour away
		serve()
		w.expect(t, status)
		w.responder.wantQueries(t, 2)
		// Another certificate is another query.
		w.leaf = w.ca.Leaf("bob")
		serve()
		w.expect(t, status)
		w.responder.wantQueries(t, 3)
	}
}

func TestKeptUntilNextUpdate(t *testing.T) {
	w := newWorld(t)
	next := stamp(w.clock.now()).Add(5 * minute)
	w.responder.answer(w.reply(func(r *reply) { r.Singles[0].Next = next }))
	w.expect(t, trust.StatusGood)
	w.clock.forward(4 * minute)
	w.expect(t, trust.StatusGood)
	w.responder.wantQueries(t, 1)
	w.clock.forward(2 * minute)
	w.expect(t, trust.StatusGood) // within the tolerance for clocks; the client also requests a newer one
	w.responder.wantQueries(t, 2)
	w.clock.forward(5 * minute)
	w.expect(t, trust.StatusUnknown)
	w.responder.wantQueries(t, 3)
}

// Two authorities may give two certificates the same serial.
func TestKeptByIssuer(t *testing.T) {
	w := newWorld(t)
	w.responder.answer(w.reply())
	w.expect(t, trust.StatusGood)
	twin := newWorld(t)
	twin.leaf = testpki.Make(twin.ca, testpki.NewKey(), w.leaf.Cert)
	if twin.leaf.Cert.SerialNumber.Cmp(w.leaf.Cert.SerialNumber) != 0 {
		t.Fatal("not the same serial")
	}
	if status, _, err := w.client.Status(t.Context(), twin.leaf.Cert, twin.ca.Cert); status != trust.StatusUnknown {
		t.Fatalf("got %d, %v", status, err)
	}
	w.responder.wantQueries(t, 2)
}

func TestFailuresAreKeptForAWhile(t *testing.T) {
	w := newWorld(t)
	w.responder.answer(tryLater)
	for range 10 {
		w.expect(t, trust.StatusUnknown)
	}
	w.responder.wantQueries(t, 1)
	w.clock.forward(29 * time.Second)
	_, until, _ := w.status(t)
	if left := until.Sub(w.clock.now()); left != time.Second {
		t.Errorf("the failure holds for %v, want %v", left, time.Second)
	}
	w.responder.wantQueries(t, 1)
	w.responder.answer(w.reply())
	w.clock.forward(time.Second)
	w.expect(t, trust.StatusGood)
	w.responder.wantQueries(t, 2)
}

func TestRevokedStays(t *testing.T) {
	w := newWorld(t)
	old := w.reply(func(r *reply) { r.Singles[0].This = stamp(w.clock.now().Add(-hour)) })
	w.responder.answer(w.reply(isRevoked))
	w.expect(t, trust.StatusRevoked)
	for name, serve := range map[string]func(http.ResponseWriter, []byte){
		"tryLater":      func(rw http.ResponseWriter, _ []byte) { write(rw, tryLater) },
		"500":           func(rw http.ResponseWriter, _ []byte) { rw.WriteHeader(500) },
		"an older good": func(rw http.ResponseWriter, _ []byte) { write(rw, old) },
		"an unknown status": func(rw http.ResponseWriter, _ []byte) {
			write(rw, w.reply(func(r *reply) { r.Singles[0].Status = unknown }))
		},
		"a good by another signer": func(rw http.ResponseWriter, _ []byte) { write(rw, w.reply(func(r *reply) { r.Signer = w.leaf })) },
		"the error unauthorized":   func(rw http.ResponseWriter, _ []byte) { write(rw, []byte{0x30, 3, 10, 1, 6}) },
		"an aborted answer":        func(http.ResponseWriter, []byte) { panic(http.ErrAbortHandler) },
	} {
		w.clock.forward(61 * minute)
		before := w.responder.queries.Load()
		w.responder.use(serve)
		if status, _, err := w.status(t); status != trust.StatusRevoked {
			t.Errorf("%s: got %d, %v; want revoked", name, status, err)
		}
		if w.responder.queries.Load() == before {
			t.Errorf("%s: no query", name)
		}
	}
	// A newer good status ends a hold.
	w.clock.forward(61 * minute)
	w.responder.answer(w.reply())
	w.expect(t, trust.StatusGood)
	w.clock.forward(61 * minute)
	w.responder.answer(tryLater)
	w.expect(t, trust.StatusUnknown)
}

// A certificate stays revoked while the breaker prevents queries.
func TestRevokedStaysWhileTheBreakerIsOpen(t *testing.T) {
	w := newWorld(t)
	w.responder.answer(w.reply(isRevoked))
	w.expect(t, trust.StatusRevoked)
	w.clock.forward(61 * minute)
	w.responder.answer(tryLater)
	for range 5 {
		w.of(t, w.ca.Leaf("other"))
	}
	before := w.responder.queries.Load()
	w.expect(t, trust.StatusRevoked)
	w.responder.wantQueries(t, before)
}

func TestBreaker(t *testing.T) {
	w := newWorld(t)
	w.responder.answer(tryLater)
	unknown := func(p *testpki.Pair) string {
		t.Helper()
		status, _, err := w.of(t, p)
		if status != trust.StatusUnknown {
			t.Fatalf("got %d, want %d", status, trust.StatusUnknown)
		}
		return err.Error()
	}
	for i := range 20 {
		text := unknown(w.ca.Leaf(fmt.Sprint("user", i)))
		if paused := strings.Contains(text, "too often"); paused != (i >= 5) {
			t.Fatalf("query %d: %s", i, text)
		}
	}
	w.responder.wantQueries(t, 5)
	w.clock.forward(10 * time.Second)
	unknown(w.ca.Leaf("later"))
	w.responder.wantQueries(t, 6)
	unknown(w.leaf) // one failure is enough this time
	w.responder.wantQueries(t, 6)

	w.clock.forward(10 * time.Second)
	w.responder.answer(w.reply())
	w.expect(t, trust.StatusGood) // a query that the breaker prevented is not cached
	w.responder.answer(tryLater)
	for i := range 4 {
		unknown(w.ca.Leaf(fmt.Sprint("again", i)))
	}
	w.responder.wantQueries(t, 11) // the count of failures begins at 0 again
}

// A clock that is set back by an hour makes no answer valid for an hour more, and does not keep the breaker open.
// Covers V5.
func TestClockThatIsSetBackEndsAnswers(t *testing.T) {
	w := newWorld(t)
	w.responder.answer(w.reply())
	w.expect(t, trust.StatusGood)
	w.clock.setBack(hour)
	w.responder.answer(w.reply(isRevoked))
	w.expect(t, trust.StatusRevoked)
	w.responder.wantQueries(t, 2)

	w = newWorld(t)
	w.responder.answer(tryLater)
	w.expect(t, trust.StatusUnknown)
	w.expect(t, trust.StatusUnknown)
	w.responder.wantQueries(t, 1)
	w.clock.setBack(hour)
	w.responder.answer(w.reply())
	w.expect(t, trust.StatusGood)

	w = newWorld(t)
	w.responder.answer(tryLater)
	for i := range 6 {
		w.of(t, w.ca.Leaf(fmt.Sprint("user", i)))
	}
	w.responder.wantQueries(t, 5) // the breaker is open
	w.clock.forward(-hour)        // a clock of the program; the system's monotonic one only goes forward
	w.responder.answer(w.reply())
	w.expect(t, trust.StatusGood)
}

// An unknown certificate is not a failure of the responder: a user with many certificates
// does not trip the breaker for others.
func TestUnknownCertificatesDoNotBreak(t *testing.T) {
	for _, der := range []func(w *world) []byte{
		func(*world) []byte { return []byte{0x30, 3, 10, 1, 6} },
		func(w *world) []byte { return w.reply(func(r *reply) { r.Singles[0].Status = unknown }) },
	} {
		w := newWorld(t)
		for i := range 12 {
			w.leaf = w.ca.Leaf(fmt.Sprint("user", i))
			w.responder.answer(der(w))
			w.expect(t, trust.StatusUnknown)
			w.responder.wantQueries(t, int64(i+1))
		}
	}
}

func TestConcurrentCallersShareOneQuery(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	w.responder.use(func(rw http.ResponseWriter, _ []byte) { <-release; write(rw, w.reply()) })
	var group sync.WaitGroup
	var good atomic.Int64
	for range 100 {
		group.Go(func() {
			if status, _, _ := w.client.Status(t.Context(), w.leaf.Cert, w.ca.Cert); status == trust.StatusGood {
				good.Add(1)
			}
		})
	}
	testkit.Eventually(t, "the first query", func() bool { return w.responder.queries.Load() > 0 })
	time.Sleep(10 * time.Millisecond)
	close(release)
	group.Wait()
	w.responder.wantQueries(t, 1)
	if good.Load() != 100 {
		t.Errorf("%d of 100 are good", good.Load())
	}
}

func TestBoundedConcurrency(t *testing.T) {
	w := newWorld(t, func(c *ocsp.Config) { c.Concurrent = 3 })
	var now, most atomic.Int64
	leaves := w.leaves(12)
	all := w.replyAbout(leaves)
	w.responder.use(func(rw http.ResponseWriter, _ []byte) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(20 * time.Millisecond)
		write(rw, all)
	})
	var group sync.WaitGroup
	for _, leaf := range leaves {
		group.Go(func() {
			if status, _, err := w.client.Status(t.Context(), leaf.Cert, w.ca.Cert); status != trust.StatusGood {
				t.Errorf("got %d, %v", status, err) // waiting for a slot is not a failure
			}
		})
	}
	group.Wait()
	if n := most.Load(); n < 2 || n > 4 { // the fourth may come before the first has left the handler
		t.Errorf("%d at once", n)
	}
}

func TestNoPlaceWithinTheDeadline(t *testing.T) {
	w := newWorld(t, func(c *ocsp.Config) { c.Concurrent, c.Timeout = 1, 400*time.Millisecond })
	release := make(chan struct{})
	w.responder.use(func(http.ResponseWriter, []byte) { <-release })
	defer close(release)
	var group sync.WaitGroup
	var noPlace atomic.Int64
	start := time.Now()
	for _, leaf := range w.leaves(6) {
		group.Go(func() {
			status, until, err := w.client.Status(t.Context(), leaf.Cert, w.ca.Cert)
			if status != trust.StatusUnknown || err == nil {
				t.Errorf("got %d, %v", status, err)
			} else if strings.Contains(err.Error(), "under way") {
				noPlace.Add(1)
				if !until.IsZero() {
					t.Errorf("the missing slot is cached until %v", until)
				}
			}
		})
	}
	group.Wait()
	if took := time.Since(start); took > 1900*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if noPlace.Load() != 5 {
		t.Errorf("%d of 6 without a slot", noPlace.Load())
	}
}

func (w *world) leaves(n int) []*testpki.Pair {
	out := make([]*testpki.Pair, n)
	for i := range out {
		out[i] = w.ca.Leaf("user")
	}
	return out
}

// replyAbout returns a good answer for many certificates.
func (w *world) replyAbout(leaves []*testpki.Pair) []byte {
	r := replyTo(w.ca, leaves[0].Cert, w.clock.now())
	for _, l := range leaves[1:] {
		s := r.Singles[0]
		s.ID = idOf(w.ca.Cert, l.Cert.SerialNumber)
		r.Singles = append(r.Singles, s)
	}
	return r.der()
}

func TestConcurrentQueriesGetTheirAnswers(t *testing.T) {
	w := newWorld(t)
	leaves := w.leaves(8)
	w.responder.use(func(rw http.ResponseWriter, _ []byte) { write(rw, w.replyAbout(leaves)) })
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			for range 5 {
				if status, _, err := w.client.Status(t.Context(), leaves[i%8].Cert, w.ca.Cert); status != trust.StatusGood {
					t.Errorf("got %d, %v", status, err)
				}
				w.clock.forward(time.Minute)
			}
		})
	}
	group.Wait()
}

// A panic in the query means an unknown status, and its slot is free again.
func TestPanicIsUnknown(t *testing.T) {
	w := newWorld(t, func(c *ocsp.Config) {
		c.Concurrent = 1
		c.Client = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { panic("hostile") })}
	})
	for range 3 {
		if err := w.expect(t, trust.StatusUnknown); !strings.Contains(err.Error(), "panicked") {
			t.Errorf("the error is %v", err)
		}
		w.clock.forward(minute)
	}
}

func TestNoGoroutineIsLeft(t *testing.T) {
	w := newWorld(t, func(c *ocsp.Config) { c.Timeout = 100 * time.Millisecond })
	release := make(chan struct{})
	w.responder.use(func(http.ResponseWriter, []byte) { <-release })
	for range 3 {
		w.expect(t, trust.StatusUnknown)
		w.clock.forward(minute)
	}
	close(release)
	w.responder.answer(w.reply())
	testkit.Eventually(t, "a good answer in time", func() bool { // on a busy machine another one times out before
		w.clock.forward(minute)
		status, _, _ := w.status(t)
		return status == trust.StatusGood
	})
	stacks := ""
	defer func() {
		if t.Failed() {
			t.Log(stacks)
		}
	}()
	testkit.Eventually(t, "every goroutine ends", func() bool {
		buffer := make([]byte, 1<<20)
		stacks = string(buffer[:runtime.Stack(buffer, true)])
		return !strings.Contains(stacks, "/trust/ocsp.(*Client)")
	})
}
