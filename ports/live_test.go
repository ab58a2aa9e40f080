package ports_test

import (
	"bufio"
	"context"
	"crypto/tls"
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

	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// soon is the documented limit for closing connections whose certificate is no longer
// trusted.
const soon = time.Second

// margin is the additional time on a busy machine.
const margin = time.Second

func h2only(c *tls.Config) { c.NextProtos = []string{"h2"} }

var protocols = map[string]tlsOption{"http/1.1": h1, "h2": h2only}

// workshop is a handler with requests that the test holds open.
type workshop struct {
	started chan struct{} // a request has come to /busy or /hijack
	finish  chan struct{} // lets one /busy answer
}

func newWorkshop() *workshop {
	return &workshop{started: make(chan struct{}, 100), finish: make(chan struct{}, 100)}
}

const long = 300_000 // bytes of an answer of /busy, more than one frame or buffer holds

func (s *workshop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/busy":
		s.started <- struct{}{}
		select {
		case <-s.finish:
			io.WriteString(w, strings.Repeat("x", long))
		case <-r.Context().Done():
		}
	case "/hijack":
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		s.started <- struct{}{}
		io.Copy(c, c)
		c.Close()
	default:
		echoCaller(w, r)
	}
}

// hijack makes a connection that its handler hijacks and echoes on.
func (s *workshop) hijack(t *testing.T, p *ports.Port, c *tls.Config) *caller {
	t.Helper()
	own, err := dial(t, p, c)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(own, "GET /hijack HTTP/1.1\r\nHost: localhost\r\n\r\n")
	own.SetReadDeadline(time.Now().Add(patience))
	if line, err := bufio.NewReader(io.LimitReader(own, 36)).ReadString('\n'); err != nil || !strings.Contains(line, "101") {
		t.Fatalf("the upgrade was answered %q, %v; want 101", line, err)
	}
	<-s.started
	return own
}

func (c *caller) echoes(t *testing.T) {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "echo")
	var b [4]byte
	for n := 0; n < 4; { // the rest of the 101 arrives first
		m, err := c.Read(b[n:])
		if err != nil {
			t.Fatalf("the hijacked connection: %v", err)
		}
		n += m
	}
}

// reading discards input until the connection ends, for tests that do not read.
func (c *caller) reading() {
	c.SetDeadline(time.Time{})
	go func() {
		io.Copy(io.Discard, c)
		c.Close() // after close_notify no Read would notice the end of the connection
	}()
}

func within(t *testing.T, what string, d, least, most time.Duration) {
	t.Helper()
	if d < least || d > most {
		t.Errorf("%s: %v, want %v to %v", what, d.Round(time.Millisecond), least, most)
	}
}

// Covers G2.
func TestChangedTrustClosesConnections(t *testing.T) {
	t.Parallel()
	for name, o := range protocols {
		runOnFakeClock(t, name, func(t *testing.T) {
			shop := newWorkshop()
			c, _ := config(t, ports.Request)
			c.Limits.Drain = time.Second
			p := onPipes(t, c, shop)

			trusted := admitted(t, p, clientConfig(bob, o))
			anonymous := admitted(t, p, clientConfig(nil, o))
			idle := admitted(t, p, clientConfig(alice, o))
			unused, err := dial(t, p, clientConfig(alice, o))
			if err != nil {
				t.Fatal(err)
			}
			unused.reading()
			testkit.Eventually(t, "the connections are open", func() bool { return p.ConnCount() == 4 })
			busy := admitted(t, p, clientConfig(alice, o))
			answer := make(chan error, 1)
			go func() { _, _, err := busy.get("/busy"); answer <- err }()
			<-shop.started
			hijacked := shop.hijack(t, p, clientConfig(alice, h1))
			hijacked.echoes(t)
			hijacked.reading()

			c.Trust = byClientCA(t, alice)
			start := time.Now()
			reconfigure(t, p, c)
			within(t, "idle", idle.ends(t), 0, margin)
			unused.ends(t)
			within(t, "unused", time.Since(start), 0, soon+margin)
			hijacked.ends(t)
			within(t, "hijacked", time.Since(start), 0, soon+margin)
			busy.ends(t)
			within(t, "busy", time.Since(start), 0, soon+margin)
			if err := <-answer; err == nil {
				t.Error("the answer to the busy request was complete")
			}
			if body, _, err := trusted.get("/"); err != nil || !strings.Contains(body, " bob ") {
				t.Errorf("the trusted connection: %q, %v", body, err)
			}
			if body, _, err := anonymous.get("/"); err != nil || !strings.Contains(body, " no-certificate ") {
				t.Errorf("the anonymous connection: %q, %v", body, err)
			}
		})
	}
}

// A request under way may finish within the second, and its answer arrives whole.
// Covers G2.
func TestAnswerUnderWayArrivesWhole(t *testing.T) {
	t.Parallel()
	for name, o := range protocols {
		runOnFakeClock(t, name, func(t *testing.T) {
			shop := newWorkshop()
			c, _ := config(t, ports.Require)
			p := onPipes(t, c, shop)
			for range 5 {
				own := admitted(t, p, clientConfig(alice, o))
				type result struct {
					body string
					err  error
				}
				answer := make(chan result, 1)
				go func() { body, _, err := own.get("/busy"); answer <- result{body, err} }()
				<-shop.started
				bad := c
				bad.Trust = byClientCA(t, alice)
				reconfigure(t, p, bad)
				shop.finish <- struct{}{}
				if got := <-answer; got.err != nil || len(got.body) != long {
					t.Errorf("%d bytes of %d, %v", len(got.body), long, got.err)
				}
				start := time.Now()
				own.ends(t)
				within(t, "after the answer", time.Since(start), 0, soon)
				reconfigure(t, p, c)
			}
		})
	}
}

// Covers G2.
func TestConnectionTrustedByTheNewTrustGoesOn(t *testing.T) {
	t.Parallel()
	for name, o := range protocols {
		runOnFakeClock(t, name, func(t *testing.T) {
			results := make(chan trust.Verified, 10)
			c, _ := config(t, ports.Require)
			c.Limits.Drain = time.Second
			p := onPipes(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				own, _ := ports.FromContext(r.Context())
				v, _ := own.Verified(r.Context())
				results <- v
				echoCaller(w, r)
			}))
			own := admitted(t, p, clientConfig(alice, o))
			former := c.Trust
			<-results
			for range 3 {
				c.Trust = byClientCA(t, bob) // trusts alice as before
				reconfigure(t, p, c)
				if _, _, err := own.get("/"); err != nil {
					t.Fatalf("the connection has ended: %v", err)
				}
				if now := <-results; !trustaccess.IsFrom(c.Trust, now) || trustaccess.IsFrom(former, now) {
					t.Error("verified by the former trust")
				}
			}
		})
	}
}

// Covers G1.
func TestExpiredCertificateIsRefusedOnAnOpenConnection(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		var shift atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
		shop := newWorkshop()
		c, _ := config(t, ports.Require)
		c.Trust = trusting(t, trust.Config{Anchors: []*x509.Certificate{clientCA.Cert}, Now: now})
		p := onPipes(t, c, shop)
		hijacked := shop.hijack(t, p, clientConfig(alice, h1))
		hijacked.echoes(t)
		hijacked.reading()
		for name, o := range protocols {
			shift.Store(0)
			own := admitted(t, p, clientConfig(alice, o))
			shift.Store(int64(48 * time.Hour))
			if body, _, err := own.get("/"); err != nil || !strings.Contains(body, " expired ") {
				t.Errorf("%s: got %q, %v; want expired", name, body, err)
			}
			shift.Store(-int64(48 * time.Hour))
			if body, _, err := own.get("/"); err != nil || !strings.Contains(body, " not-yet-valid ") {
				t.Errorf("%s: got %q, %v; want not-yet-valid", name, body, err)
			}
		}
		// No request verifies the hijacked connection again: the port does.
		shift.Store(int64(48 * time.Hour))
		hijacked.ends(t)
	})
}

// Connections beyond their age end after an answer, and no request is lost.
// Covers G8.
func TestConnectionBeyondItsAgeEndsAfterAnAnswer(t *testing.T) {
	t.Parallel()
	for name, o := range protocols {
		runOnFakeClock(t, name, func(t *testing.T) {
			c, _ := config(t, ports.Require)
			c.Limits.ConnectionAge = 200 * time.Millisecond
			p := onPipes(t, c, http.HandlerFunc(echoCaller))
			own := admitted(t, p, clientConfig(alice, o))
			requests := 0
			for start := time.Now(); own.open(); requests++ {
				if time.Since(start) > patience {
					t.Fatal("the connection does not end")
				}
				_, r, err := own.get("/")
				if err != nil {
					// Only a request that was never sent may fail: the client knew that the connection had ended.
					if !strings.Contains(err.Error(), "the connection has ended") {
						t.Fatalf("request %d: %v", requests, err)
					}
					break
				}
				if r.ProtoMajor == 1 && r.Close {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if requests < 2 {
				t.Errorf("only %d requests", requests)
			}
			own.ends(t)
		})
	}
	runOnFakeClock(t, "never", func(t *testing.T) {
		c, _ := config(t, ports.Require)
		c.Limits.ConnectionAge = -1
		own := admitted(t, onPipes(t, c, http.HandlerFunc(echoCaller)), clientConfig(alice, h1))
		for range 3 {
			if _, r, err := own.get("/"); err != nil || r.Close {
				t.Errorf("got %v, want an answer that does not end the connection", err)
			}
		}
	})
}

func TestReconfigureThatNeedsARestart(t *testing.T) {
	c, _ := config(t, ports.Require)
	p := serving(t, c)
	for name, change := range map[string]func(*ports.Config){
		"name": func(c *ports.Config) { c.Name = "other" },
		"addr": func(c *ports.Config) { c.Addr = "127.0.0.1:1" },
		"mode": func(c *ports.Config) { c.ClientAuth = ports.None },
	} {
		other := c
		change(&other)
		if err := p.Reconfigure(other); !errors.Is(err, ports.ErrRestart) {
			t.Errorf("%s: got %v, want ErrRestart", name, err)
		}
	}
	// An invalid configuration changes nothing.
	bad := c
	bad.Trust = nil
	if err := p.Reconfigure(bad); err == nil || errors.Is(err, ports.ErrRestart) {
		t.Errorf("no trust: %v", err)
	}
	if p.Config().Trust != c.Trust || p.Name() != "require" || p.Config().ClientAuth != ports.Require {
		t.Error("an invalid configuration is in effect")
	}
	admitted(t, p, clientConfig(alice))
}

func TestReconfiguredLimitsAreForConnectionsToCome(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	p := serving(t, c)
	before := admitted(t, p, clientConfig(alice, h1))
	c.Limits.HeaderBytes, c.Limits.Drain = 4096, time.Second
	reconfigure(t, p, c)
	status := func(own *caller) int {
		r, _ := http.NewRequest("GET", "https://localhost/", nil)
		r.Header.Set("X-Long", strings.Repeat("x", 10_000))
		answer, err := own.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if got := status(before); got != 200 {
		t.Errorf("the former connection: %d, want 200", got)
	}
	if got := status(admitted(t, p, clientConfig(alice, h1))); got != 431 {
		t.Errorf("a new connection: %d, want 431", got)
	}
}

// Covers I2.
func TestServerCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	p := serving(t, c)
	former := admitted(t, p, clientConfig(alice))
	renewed := serverCA.Server().TLS()
	c.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &renewed, nil }
	reconfigure(t, p, c)
	own := admitted(t, p, clientConfig(alice))
	if !own.ConnectionState().PeerCertificates[0].Equal(renewed.Leaf) {
		t.Error("the former certificate is still served")
	}
	if _, _, err := former.get("/"); err != nil {
		t.Errorf("the former connection: %v", err)
	}
}

// The trust changes while clients connect: no client is served under a former trust, and the
// race detector finds nothing.
// Covers I5.
func TestReconfigureDuringHandshakes(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	c.Limits.Drain = time.Second
	var revoked atomic.Bool
	var wrong atomic.Int64
	p := newPort(t, c)
	serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		after := revoked.Load()
		own, _ := ports.FromContext(r.Context())
		if name := nameOf(own.Verified(r.Context())); after && name == "alice" && revoked.Load() {
			wrong.Add(1)
		}
		state, _ := connstate.FromContext(r.Context())
		state.SetMemo(r.Proto)
		_ = state.Memo()
		echoCaller(w, r)
	}), p)
	good, bad := c, c
	good.Trust, bad.Trust = byClientCA(t), byClientCA(t, alice)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if body, own, err := dialAndGet(t, p, clientConfig(bob)); err != nil || !strings.Contains(body, " bob ") {
					t.Errorf("bob: %q, %v", body, err)
				} else {
					own.Close()
				}
				if _, own, err := dialAndGet(t, p, clientConfig(alice, h1)); err == nil {
					own.Close()
				}
			}
		})
	}
	for i := range 40 {
		if i%2 == 0 {
			reconfigure(t, p, bad)
			revoked.Store(true)
			time.Sleep(5 * time.Millisecond) // time for visits under this trust
			revoked.Store(false)
		} else {
			good.Limits.Idle = time.Minute + time.Duration(i)*time.Second // another http.Server as well
			reconfigure(t, p, good)
		}
	}
	close(stop)
	all.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("alice was served %d times while she was revoked", n)
	}
	testkit.Eventually(t, "no connection is left", func() bool { return p.ConnCount() == 0 })
}

// VerifiedBy verifies with any trust, and Verified with the trust of the port.
func TestConnVerifiedBy(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	p := newPort(t, c)
	other, none := byOtherCA(t), (*trust.Verifier)(nil)
	got := make(chan string, 1)
	serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own, _ := ports.FromContext(r.Context())
		state, _ := connstate.FromContext(r.Context())
		r.TLS.PeerCertificates[0] = bob.Cert // a handler that changes its certificates
		got <- fmt.Sprint(nameOf(own.Verified(r.Context())), " ", nameOf(own.VerifiedBy(r.Context(), other)), " ",
			nameOf(own.VerifiedBy(r.Context(), none)), " ", nameOf(own.Verified(context.Background())), " ", own.ServerName(), " ", state.Memo())
	}), p)
	admitted(t, p, clientConfig(alice))
	want := fmt.Sprintf("alice %s %s alice localhost <nil>", reason.UnknownAuthority, reason.UnknownAuthority)
	if g := <-got; g != want {
		t.Errorf("%q, want %q", g, want)
	}
}
