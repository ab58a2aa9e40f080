package ports_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

const (
	stallIdle = time.Second // Limits.Idle and Limits.Headers of these tests

	// stallBound is the time within which a connection with a stalled client must be closed.
	// The slowest case is a stream that ends after idle and two sweeps, then idle for the
	// connection, and a second in which net/http waits after its GOAWAY.
	stallBound = 6 * time.Second
)

// stall is one way of a client to make a port wait.
type stall struct {
	attack func(*attacker)
	limits func(*ports.Limits) // nil means stallLimits
	reads  bool                // the client reads its input
}

func stallLimits() ports.Limits {
	return ports.Limits{Idle: stallIdle, Headers: stallIdle, Drain: time.Second}
}

// attacker is the client of a stall.
type attacker struct {
	*caller
	framer
	t *testing.T
}

// send writes. The connection may end at any time.
func (a *attacker) send(format string, args ...any) { fmt.Fprintf(a.caller, format, args...) }

// forever calls act until the connection ends or stallBound is far exceeded.
func (a *attacker) forever(every time.Duration, act func() error) {
	for end := time.Now().Add(2 * stallBound); time.Now().Before(end) && a.open(); time.Sleep(every) {
		a.caller.SetWriteDeadline(time.Now().Add(time.Second))
		if act() != nil {
			return
		}
	}
}

// drip writes b one byte at a time.
func (a *attacker) drip(every time.Duration, b []byte) {
	a.forever(every, func() error {
		if len(b) == 0 {
			return io.EOF
		}
		_, err := a.caller.Write(b[:1])
		b = b[1:]
		return err
	})
}

// stalling answers in the way that the path selects.
func stalling(w http.ResponseWriter, r *http.Request) {
	const large = 8 << 20 // more than the kernel buffers for one connection
	switch r.URL.Path {
	case "/small":
		io.WriteString(w, "no\n")
	case "/large":
		w.Write(make([]byte, large))
	case "/copy":
		io.Copy(w, io.LimitReader(zeros{}, large))
	case "/file":
		f, err := os.CreateTemp("", "stall") // io.Copy from a file uses another path in HTTP/1
		if err != nil {
			return
		}
		defer os.Remove(f.Name())
		defer f.Close()
		f.Truncate(large)
		io.Copy(w, f)
	case "/flush":
		control := http.NewResponseController(w)
		for range 1000 {
			if _, err := io.WriteString(w, strings.Repeat("x", 100)); err != nil || control.Flush() != nil {
				return
			}
		}
	case "/trailer":
		w.Header().Set("Trailer", "X-End")
		io.WriteString(w, "no\n")
		w.Header().Set("X-End", "1")
	case "/late": // the handler returns after the first sweep
		time.Sleep(1500 * time.Millisecond)
		io.WriteString(w, "no\n")
	case "/read":
		io.Copy(io.Discard, r.Body)
	case "/part": // net/http reads the rest before it sends so large an answer
		r.Body.Read(make([]byte, 1))
		w.Write(make([]byte, 10_000))
	case "/close":
		r.Body.Read(make([]byte, 1))
		r.Body.Close()
		io.WriteString(w, "no\n")
	case "/ignore":
		io.WriteString(w, "no\n")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// ended is the result of a stall.
type ended struct {
	name, protocol string
	after          time.Duration
}

// run makes one stall and waits until its slot is free.
func (s stall) run(t *testing.T, name, protocol string, handler http.Handler) ended {
	c, _ := config(t, ports.Request)
	c.Limits = stallLimits()
	if s.limits != nil {
		s.limits(&c.Limits)
	}
	p := onPipes(t, c, handler)
	own := connected(t, p, clientConfig(nil, protocols[protocol]))
	if s.reads {
		own.reading()
	}
	start := time.Now()
	attack := make(chan struct{})
	go func() {
		defer close(attack)
		s.attack(&attacker{own, framer{own}, t})
	}()
	after := time.Duration(0)
	for p.ConnCount() > 0 {
		if after = time.Since(start); after > stallBound {
			t.Errorf("%s, %s: the connection is still there after %v", name, protocol, after)
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	own.Conn.NetConn().Close()
	<-attack
	return ended{name, protocol, after}
}

// runStalls runs stalls concurrently, logs the duration of each, and checks that no handler
// and no slot is left.
func runStalls(t *testing.T, protocol string, stalls map[string]stall, handler http.Handler) {
	var inside atomic.Int64
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside.Add(1)
		defer inside.Add(-1)
		handler.ServeHTTP(w, r)
	})
	var mu sync.Mutex
	var all []ended
	atOnce(stalls, func(name string, s stall) {
		e := s.run(t, name, protocol, counted)
		mu.Lock()
		all = append(all, e)
		mu.Unlock()
	})
	slices.SortFunc(all, func(a, b ended) int { return strings.Compare(a.name, b.name) })
	for _, e := range all {
		t.Logf("| %s | %s | %.1f |", e.name, e.protocol, e.after.Seconds())
	}
	testkit.Eventually(t, "the handlers return", func() bool { return inside.Load() == 0 })
}
