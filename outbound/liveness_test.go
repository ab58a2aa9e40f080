package outbound_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/outbound"
)

// flakyDialer dials connections that can be stalled, as by a firewall that has dropped its
// state. The connections stay open.
type flakyDialer struct {
	to    string
	mu    sync.Mutex
	conns []*flakyConn
}

type flakyConn struct {
	net.Conn
	stalled atomic.Bool
	closed  chan struct{}
	once    sync.Once
}

// newFlakyDialer makes the transport of w use a flakyDialer.
func newFlakyDialer(w *fixture, s *testServer) *flakyDialer {
	x := &flakyDialer{to: s.Listener.Addr().String()}
	w.config.Base = &http.Transport{DialContext: x.dial}
	return x
}

func (x *flakyDialer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, network, x.to)
	if err != nil {
		return nil, err
	}
	c := &flakyConn{Conn: raw, closed: make(chan struct{})}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.conns = append(x.conns, c)
	return c, nil
}

// stall stalls all connections so far.
func (x *flakyDialer) stall() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.conns {
		c.stalled.Store(true)
	}
}

func (x *flakyDialer) dialled() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.conns)
}

func (c *flakyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.stalled.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *flakyConn) Write(p []byte) (int, error) {
	if c.stalled.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *flakyConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// getWithin makes a call with a deadline.
func getWithin(tb testing.TB, d time.Duration, c *http.Client, url string) (string, error) {
	ctx, cancel := context.WithTimeout(as(tb, "a"), d)
	defer cancel()
	return get(ctx, c, url)
}

// When a peer has vanished, one call with a deadline fails, and the next call uses a new
// connection. Covers J14.
func TestOneCallFailsOnAConnectionWhosePeerIsGone(t *testing.T) {
	t.Parallel()
	w := newFixture(t, "a")
	s := serve(t, nil)
	x := newFlakyDialer(w, s)
	c := w.client()
	for range 2 {
		wantBody(t, as(t, "a"), c, s.URL, "a")
		x.stall()
		if _, err := getWithin(t, 700*time.Millisecond, c, s.URL); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the call on the dead connection: %v", err)
		}
		for range 5 {
			if got, err := getWithin(t, 5*time.Second, c, s.URL); got != "a" {
				t.Errorf("a call after it: %q, %v", got, err)
			}
		}
	}
}

// Calls with short deadlines fail until half a second has passed. Covers J14.
func TestShortCallsFindThatThePeerIsGone(t *testing.T) {
	t.Parallel()
	w := newFixture(t, "a")
	s := serve(t, nil)
	x := newFlakyDialer(w, s)
	c := w.client()
	wantBody(t, as(t, "a"), c, s.URL, "a")
	x.stall()
	failed := 0
	for began := time.Now(); time.Since(began) < 20*time.Second; failed++ {
		if _, err := getWithin(t, 200*time.Millisecond, c, s.URL); err == nil {
			break
		}
	}
	if failed < 1 || failed > 20 { // a busy machine may need such a time for a new connection
		t.Errorf("%d calls of 200 ms failed", failed)
	}
}

// Pings, which are on by default, end calls without a deadline. Calls in progress fail, and
// later calls do not. Covers J14.
func TestPingsFindThatThePeerIsGone(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		ping, timeout, most time.Duration
	}{"short": {200 * time.Millisecond, time.Second, 10 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t, "a")
			began, release := make(chan struct{}, 10), make(chan struct{})
			defer close(release)
			s := serve(t, func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/wait" {
					began <- struct{}{}
					select {
					case <-release:
					case <-r.Context().Done():
					}
				}
				echo(rw, r)
			})
			x := newFlakyDialer(w, s)
			w.config.Ping, w.config.PingTimeout = row.ping, row.timeout
			c := &http.Client{Transport: w.transport()}
			wantBody(t, as(t, "a"), c, s.URL, "a")
			failures := make(chan error, 10)
			for range 10 {
				go func() { _, err := get(as(t, "a"), c, s.URL+"/wait"); failures <- err }()
			}
			for range 10 {
				<-began
			}
			x.stall()
			at := time.Now()
			for range 10 {
				select {
				case err := <-failures:
					if err == nil {
						t.Error("an answer")
					}
				case <-time.After(row.most):
					t.Fatalf("a call still waits after %v", row.most)
				}
			}
			t.Logf("all calls had failed after %v", time.Since(at))
			for range 5 {
				wantBody(t, as(t, "a"), c, s.URL, "a")
			}
			if n := x.dialled(); n != 2 {
				t.Errorf("%d connections, want 2", n)
			}
		})
	}
}

// A body that stops arriving counts as a missing answer. Covers J14.
func TestBodyThatStopsMakesTheConnectionSuspect(t *testing.T) {
	t.Parallel()
	w := newFixture(t, "a")
	s := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, "a")
		if r.URL.Path == "/half" {
			http.NewResponseController(rw).Flush()
			<-r.Context().Done()
		}
	})
	x := newFlakyDialer(w, s)
	c := w.client()
	ctx, cancel := context.WithCancel(as(t, "a"))
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/half", nil)
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(response.Body, make([]byte, 1))
	x.stall()
	time.AfterFunc(700*time.Millisecond, cancel)
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Fatal("the body ended")
	}
	response.Body.Close()
	if got, err := getWithin(t, 5*time.Second, c, s.URL); got != "a" {
		t.Errorf("the next call: %q, %v", got, err)
	}
}

// A slow server has not vanished: a long call beside calls with short deadlines continues,
// even beyond Drain, and calls that are cancelled at once close no connection.
// Covers J14.
func TestSlowServerIsNotGone(t *testing.T) {
	t.Parallel()
	w := newFixture(t, "a")
	release, began := make(chan struct{}), make(chan struct{}, 100)
	s := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			began <- struct{}{}
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		echo(rw, r)
	})
	x := newFlakyDialer(w, s)
	w.config.Drain = 100 * time.Millisecond
	c := w.client()
	longest := time.Duration(0)
	for range 10 {
		start := time.Now()
		for range 5 {
			ctx, cancel := context.WithCancel(as(t, "a"))
			go func() { <-began; cancel() }()
			get(ctx, c, s.URL+"/wait")
			cancel()
		}
		wantBody(t, as(t, "a"), c, s.URL, "a")
		longest = max(longest, time.Since(start))
	}
	// On a busy machine the calls may wait half a second without an answer between them, which makes their connection suspect.
	if n := x.dialled(); n != 1 && longest < 400*time.Millisecond {
		t.Errorf("%d connections after calls that were cancelled", n)
	}
	long := make(chan string, 1)
	go func() { got, _ := get(as(t, "a"), c, s.URL+"/wait"); long <- got }()
	<-began
	for range 2 {
		getWithin(t, 600*time.Millisecond, c, s.URL+"/wait")
	}
	close(release)
	if got := <-long; got != "a" {
		t.Errorf("the long call: %q, want %q", got, "a")
	}
}

// Ping and PingTimeout configure net/http, unless Base does. Covers J14.
func TestPingsAreConfigured(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		own           *http.HTTP2Config
		ping, timeout time.Duration
		want          http.HTTP2Config
	}{
		"default": {nil, 0, 0, http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second}},
		"set":     {nil, time.Second, 2 * time.Second, http.HTTP2Config{SendPingTimeout: time.Second, PingTimeout: 2 * time.Second}},
		"off":     {nil, -1, 0, http.HTTP2Config{PingTimeout: 5 * time.Second}},
		"base":    {&http.HTTP2Config{SendPingTimeout: time.Minute, MaxReadFrameSize: 1 << 20}, time.Second, 0, http.HTTP2Config{SendPingTimeout: time.Minute, PingTimeout: 5 * time.Second, MaxReadFrameSize: 1 << 20}},
	} {
		w := newFixture(t)
		w.config.Base = &http.Transport{HTTP2: row.own}
		w.config.Ping, w.config.PingTimeout = row.ping, row.timeout
		if got := w.transport().HTTP2(); !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, row.want)
		}
	}
	w := newFixture(t)
	w.config.PingTimeout = -1
	if _, err := outbound.New(w.config); err == nil {
		t.Error("a negative PingTimeout is accepted")
	}
}
