package reverse_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/reverse"
)

// tally counts the outcomes of numbered requests.
type tally struct {
	sent, answered, early, refused, broken, cancelled atomic.Int64

	mu  sync.Mutex
	ran map[string]int // by request number: the number of handler calls
}

func (c *tally) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number := r.Header.Get("Number")
	c.mu.Lock()
	c.ran[number]++
	c.mu.Unlock()
	if rand.IntN(8) == 0 {
		w.Header().Set("Connection", "close")
	}
	switch r.URL.Path {
	case "/early":
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	case "/empty": // at times with Connection: close
		w.Header().Set("Number", number)
		return
	case "/slow":
		select {
		case <-time.After(time.Duration(rand.IntN(3)) * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Number", number)
	fmt.Fprintf(w, "%s %d", number, n)
}

// Numbered requests of all kinds go through the tunnels of two servers while tunnels are
// closed, drained and replaced, and handlers answer Connection: close. Each request is
// answered with its own number, refused with a problem document, or aborted so that the
// client sees it. No request runs twice, and none is lost silently.
//
// Covers K13, K14.
func TestEveryRequestIsAccountedFor(t *testing.T) {
	t.Parallel()
	lasts := time.Second
	if *full {
		lasts = time.Minute
	}
	c := &tally{ran: map[string]int{}}
	d := newDMZ(t, gatewayConfig(func(g *reverse.GatewayConfig) { g.MaxAge = 700 * time.Millisecond }))
	guarded := newGuard(t).Handler(c)
	config := func() reverse.ServerConfig {
		s := d.serverConfig(t, orders, guarded, "orders")
		s.Conns = 2
		return s
	}
	startConnected(t, config())
	ctx, stop := context.WithTimeout(t.Context(), lasts+time.Minute)
	defer stop()
	var all sync.WaitGroup
	all.Go(func() { // long enough, on a busy machine too
		defer stop()
		for began := time.Now(); ctx.Err() == nil && (time.Since(began) < lasts || c.answered.Load() < 200); {
			time.Sleep(10 * time.Millisecond)
		}
	})
	all.Go(func() { // a server that connects and drains
		for ctx.Err() == nil {
			s := must[*reverse.Server](t)(reverse.NewServer(config()))
			run, end := context.WithTimeout(ctx, time.Duration(100+rand.IntN(200))*time.Millisecond)
			if err := s.Serve(run); err != nil {
				t.Error(err)
			}
			end()
		}
	})
	all.Go(func() { // all tunnels are closed at once, without a drain
		for ctx.Err() == nil {
			select {
			case <-time.After(time.Duration(200+rand.IntN(300)) * time.Millisecond):
				closeTunnels(d)
			case <-ctx.Done():
			}
		}
	})
	var next atomic.Int64
	for i := range 12 {
		all.Go(func() {
			client := d.client(t, alice, i%2 == 0)
			for ctx.Err() == nil {
				c.request(t, client, fmt.Sprint(next.Add(1)))
			}
		})
	}
	for range 4 { // on raw connections: an answer announces their end, or the next one is answered
		all.Go(func() {
			for ctx.Err() == nil {
				c.connection(t, d, &next)
			}
		})
	}
	all.Wait()
	twice, ran := 0, 0
	for number, n := range c.ran {
		ran++
		if n > 1 {
			twice++
			t.Errorf("request %s ran %d times", number, n)
		}
	}
	lost := c.sent.Load() - c.answered.Load() - c.early.Load() - c.refused.Load() - c.broken.Load() - c.cancelled.Load()
	t.Logf("%d sent: %d answered, %d answered early, %d refused (503, 502), %d aborted with an error, %d cancelled; %d ran, %d twice; %d lost; through %d tunnels",
		c.sent.Load(), c.answered.Load(), c.early.Load(), c.refused.Load(), c.broken.Load(), c.cancelled.Load(), ran, twice, lost, d.events.count(reverse.Registered))
	if lost != 0 {
		t.Errorf("%d requests are not accounted for", lost)
	}
	if c.answered.Load() < 20 { // on a busy machine a minute is over before 200
		t.Errorf("only %d were answered", c.answered.Load())
	}
}

// request makes one request by a client, and counts its outcome.
func (c *tally) request(t *testing.T, client *client, number string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var r *http.Request
	path, size := "/", 0
	switch rand.IntN(5) {
	case 0:
		r = client.request("GET", "/slow", nil)
	case 1:
		size = rand.IntN(100_000)
		r = client.request("POST", "/", io.LimitReader(zeros{}, int64(size)))
		r.ContentLength = -1
	case 2:
		path = "/early"
		r = client.request("POST", path, io.LimitReader(zeros{}, 300_000))
		r.ContentLength = 300_000
	case 3:
		path = "/empty"
		r = client.request("GET", path, nil)
	case 4:
		r = client.request("GET", "/slow", nil)
		var leave context.CancelFunc
		ctx, leave = context.WithTimeout(ctx, time.Duration(rand.IntN(2000))*time.Microsecond)
		defer leave()
	}
	r.Header.Set("Number", number)
	r.GetBody = nil
	c.sent.Add(1)
	res, err := client.http.Do(r.WithContext(ctx))
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	switch {
	case ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		c.cancelled.Add(1)
	case err != nil:
		// If a tunnel ends before the answer, the answer is 502. If it ends just after the answer
		// has begun and before its head has arrived, the stream is reset.
		if res == nil && !strings.Contains(err.Error(), "INTERNAL_ERROR") {
			t.Errorf("request %s was lost silently: %v", number, err)
		}
		c.broken.Add(1)
	default:
		c.count(t, res, body, path, number, size)
	}
}

// count counts an answer.
func (c *tally) count(t *testing.T, res *http.Response, body []byte, path, number string, size int) {
	switch {
	case res.StatusCode == http.StatusBadGateway || res.StatusCode == http.StatusServiceUnavailable:
		var p struct{ Status int }
		if json.Unmarshal(body, &p) != nil || p.Status != res.StatusCode || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("refused with %q", body)
		}
		c.refused.Add(1)
	case path == "/early" && res.StatusCode == http.StatusRequestEntityTooLarge:
		c.early.Add(1)
	case res.StatusCode == http.StatusOK && res.Header.Get("Number") == number && (path == "/empty" || string(body) == fmt.Sprintf("%s %d", number, size)):
		c.answered.Add(1)
	default:
		t.Errorf("request %s: answered %d %v %q", number, res.StatusCode, res.Header, body)
	}
}

// connection makes requests on a connection of its own until the connection ends. It may end
// only after an answer that announced the end, or after an aborted answer.
func (c *tally) connection(t *testing.T, d *dmz, next *atomic.Int64) {
	conn := dialRaw(t, d, alice)
	defer conn.Close()
	for range 10 {
		number := fmt.Sprint(next.Add(1))
		path, body := "/", rand.IntN(30_000)
		if rand.IntN(3) == 0 {
			path = "/early"
		}
		conn.SetDeadline(time.Now().Add(patience))
		c.sent.Add(1)
		written := make(chan error, 1)
		go func() {
			_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nNumber: %s\r\nContent-Length: %d\r\n\r\n%s", path, number, body, strings.Repeat("x", body))
			written <- err
		}()
		first, err := conn.r.Peek(1)
		if err != nil || len(first) == 0 {
			// No byte of an answer came, although the previous answer announced no end.
			t.Errorf("request %s was lost silently: %v", number, err)
			c.broken.Add(1)
			<-written
			return
		}
		res, err := http.ReadResponse(conn.r, nil)
		var text []byte
		if err == nil {
			text, err = io.ReadAll(res.Body)
		}
		if err != nil {
			c.broken.Add(1) // within an answer
			return
		}
		c.count(t, res, text, path, number, body)
		if res.Close {
			return
		}
		if err := <-written; err != nil {
			t.Errorf("request %s: its answer announced no end, and the connection ended: %v", number, err)
			return
		}
	}
}
