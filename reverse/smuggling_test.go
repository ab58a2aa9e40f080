package reverse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// smuggled is the request in a place where none may be read.
const smuggled = "DELETE /evil/NNNNNN HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"

// witness records where smuggled was seen: by handlers, guards and their observers.
type witness struct {
	mu      sync.Mutex
	seenBy  map[string]int
	attacks map[string]bool // in which it was seen
}

func (w *witness) record(who, method, path string) {
	if strings.Contains(path, "evil") || method == "DELETE" {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seenBy[who]++
		w.attacks[strings.TrimPrefix(path, "/evil/")] = true
	}
}

func (w *witness) handler(who string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.record(who, r.Method, r.URL.Path)
		next.ServeHTTP(rw, r)
	})
}

func (w *witness) observe(who string) func(*middleware.Config) {
	return func(c *middleware.Config) {
		c.Observe = func(_ *http.Request, o middleware.Outcome) { w.record(who, o.Method, o.Path) }
	}
}

// earlyHandler answers before it has read the body, in every way that a handler has.
func earlyHandler(cut func()) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch how := strings.TrimPrefix(r.URL.Path, "/do/"); how {
		case "413", "403", "200":
			status, _ := strconv.Atoi(how)
			w.WriteHeader(status)
			io.WriteString(w, "early\n")
		case "204":
			w.WriteHeader(http.StatusNoContent)
		case "long":
			io.CopyN(w, zeros{}, 100_000)
		case "some":
			io.ReadFull(r.Body, make([]byte, 3))
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		case "close":
			r.Body.Close()
			io.WriteString(w, "closed\n")
		case "limit":
			if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 4)); err != nil {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
			}
		case "deadline":
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Millisecond))
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusRequestTimeout)
		case "duplex":
			_ = http.NewResponseController(w).EnableFullDuplex()
			io.WriteString(w, "early\n")
			_ = http.NewResponseController(w).Flush()
		case "duplex-read":
			_ = http.NewResponseController(w).EnableFullDuplex()
			io.WriteString(w, "early\n")
			_ = http.NewResponseController(w).Flush()
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(5 * time.Millisecond))
			io.Copy(io.Discard, r.Body)
		case "duplex-replaced":
			_ = http.NewResponseController(w).EnableFullDuplex()
			r.Body = http.MaxBytesReader(w, r.Body, 1<<30) // in place, as many do
			io.WriteString(w, "early\n")
			_ = http.NewResponseController(w).Flush()
		case "timeout":
			http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), 3*time.Millisecond, "late").ServeHTTP(w, r)
		case "read":
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "read\n")
		case "panic":
			panic(http.ErrAbortHandler)
		case "cut":
			cut()
			<-r.Context().Done()
		default:
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "fine\n")
		}
	})
}

// attack is one way to put a request where none may be read.
type attack struct {
	name   string
	head   string // of the first request, after its request line and Host
	method string
	before string // sent with the head
	after  string // sent after the first answer, or after a pause where none comes
	whole  bool   // the request is complete, and what is after it is one of its own
}

// chunk is one of RFC 9112 section 7.1.
func chunk(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

var attacks = func() []attack {
	flood := strings.Repeat(smuggled, 400) // more than any buffer on the way
	return []attack{
		{name: "chunk that goes on", head: "Transfer-Encoding: chunked\r\n", before: "10000\r\nfiller", after: smuggled + smuggled},
		{name: "chunk that is full of it", head: "Transfer-Encoding: chunked\r\n", before: "fffff\r\n" + flood, after: flood},
		{name: "chunked and whole", head: "Transfer-Encoding: chunked\r\n", before: chunk(flood) + "0\r\n\r\n", whole: true},
		{name: "large, chunked and whole", head: "Transfer-Encoding: chunked\r\n", before: strings.Repeat(chunk(flood), 20), after: "0\r\n\r\n", whole: true},
		{name: "no chunk at all", head: "Transfer-Encoding: chunked\r\n", after: smuggled},
		{name: "chunk that is none", head: "Transfer-Encoding: chunked\r\n", before: "3\r\nabc\r\nzz\r\n" + smuggled},
		{name: "chunk without its end", head: "Transfer-Encoding: chunked\r\n", before: "3\r\nabcdef" + smuggled},
		{name: "long extension", head: "Transfer-Encoding: chunked\r\n", before: "3;" + strings.Repeat("x", 5000) + "\r\n" + smuggled},
		{name: "trailer that is none", head: "Transfer-Encoding: chunked\r\nTrailer: Sum\r\n", before: "3\r\nabc\r\n0\r\nnone\r\n" + smuggled},
		{name: "trailer of that form", head: "Transfer-Encoding: chunked\r\n", before: "3\r\nabc\r\n0\r\n" + smuggled},
		{name: "trailer that is too long", head: "Transfer-Encoding: chunked\r\n", before: "3\r\nabc\r\n0\r\nX: " + strings.Repeat("x", 8192) + "\r\n" + smuggled},
		{name: "late trailer", head: "Transfer-Encoding: chunked\r\n", before: "3\r\nabc\r\n0\r\n", after: "none\r\n" + smuggled},
		{name: "length that goes on", head: "Content-Length: 100000\r\n", before: "filler", after: smuggled + smuggled},
		{name: "length that is full of it", head: fmt.Sprintf("Content-Length: %d\r\n", 3*len(flood)), before: flood, after: flood},
		{name: "huge length", head: "Content-Length: 900000000\r\n", before: flood, after: flood},
		{name: "length and whole", head: fmt.Sprintf("Content-Length: %d\r\n", len(flood)), before: flood, whole: true},
		{name: "large, with a length and whole", head: fmt.Sprintf("Content-Length: %d\r\n", 20*len(flood)), before: strings.Repeat(flood, 19), after: flood, whole: true},
		{name: "nothing of a length", head: fmt.Sprintf("Content-Length: %d\r\n", 2*len(smuggled)), after: smuggled},
		{name: "expectation", head: "Content-Length: 1000\r\nExpect: 100-continue\r\n", after: smuggled},
		{name: "chunked expectation", head: "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", after: smuggled},
		{name: "expectation that is not waited for", head: "Content-Length: 1000\r\nExpect: 100-continue\r\n", before: "filler", after: smuggled},
		{name: "body of a GET", method: "GET", head: "Content-Length: 100000\r\n", before: "filler", after: smuggled},
		{name: "upgrade", method: "GET", head: "Connection: Upgrade\r\nUpgrade: websocket\r\n", after: smuggled},
		{name: "upgrade that is not waited for", method: "GET", head: "Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n", before: smuggled},
		{name: "other upgrade", method: "GET", head: "Connection: Upgrade\r\nUpgrade: other\r\n", before: smuggled},
		{name: "upgrade with a body", head: "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1000\r\n", before: "filler", after: smuggled},
		{name: "upgrade with chunks", method: "GET", head: "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n", before: "1000\r\nfiller", after: smuggled},
		{name: "older client", head: "Connection: keep-alive\r\nContent-Length: 1000\r\n", before: "filler", after: smuggled, method: "POST 1.0"},
		{name: "pipelined", head: "Content-Length: 4\r\n", before: "body", whole: true},
	}
}()

// target is where a client's connection is shared.
type target struct {
	name  string
	addr  string
	paths []string // of earlyHandler
}

var everyPath = []string{"413", "403", "200", "204", "long", "some", "close", "limit", "deadline", "duplex", "duplex-read", "duplex-replaced", "timeout", "read", "panic"}

// newTargets returns each place where our code and net/http share a connection.
func newTargets(t *testing.T, w *witness) []target {
	short := func(c *ports.Config) { c.Limits.Headers = 150 * time.Millisecond }
	denies := func(c *middleware.Config) { c.Policy = newPolicy(t, "p, user:bob, *, *, /*, allow") }
	plain := func(name string, h http.Handler, change ...func(*ports.Config)) string {
		c := portConfig(name, ports.Request, &web, trusting(t, userCA))
		short(&c)
		for _, f := range change {
			f(&c)
		}
		p := must[*ports.Port](t)(ports.New(c))
		serve(t, w.handler(name, h), p)
		return p.Addr().String()
	}
	in := earlyHandler(nil)
	all := []target{
		{"port", plain("port", newGuard(t, w.observe("guard of the port")).Handler(in)), everyPath},
		{"port with a time for the request", plain("timed", newGuard(t, w.observe("guard of the timed port")).Handler(in),
			func(c *ports.Config) { c.Limits.Request = 300 * time.Millisecond }), []string{"413", "close", "deadline", "duplex", "duplex-read", "duplex-replaced", "timeout", "read"}},
		{"port without a guard", plain("bare", in), []string{"413", "duplex", "duplex-replaced", "read"}},
		{"port that refuses", plain("refusing", newGuard(t, w.observe("guard that refuses"), denies).Handler(in)), []string{"200"}},
	}

	// A tunnel, with a guard inside and without one outside, and with both.
	var d *dmz
	inside := w.handler("handler inside", earlyHandler(nil))
	d = newDMZ(t, func(_ *reverse.GatewayConfig, external, _ *ports.Config) { short(external) })
	guarded := newGuard(t, w.observe("guard inside"), func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, group:Everybody, *, *, /*, allow", "p, group:Everybody, *, *, /denied/*, deny")
	}).Handler(inside)
	startConnected(t, d.serverConfig(t, orders, guarded, "orders"))
	all = append(all,
		target{"tunnel", d.external.Addr().String(), append([]string{"/denied/x"}, everyPath...)},
		target{"tunnel behind a guard", plain("outer", newGuard(t, w.observe("guard outside")).Handler(d.gateway)), []string{"413", "403", "200", "some", "read", "/denied/x"}},
		target{"tunnel behind a time for the request", plain("outer timed", d.gateway, func(c *ports.Config) { c.Limits.Request = 3 * time.Second }), []string{"413", "200", "some", "read"}},
	)
	torn := newDMZ(t, func(_ *reverse.GatewayConfig, external, _ *ports.Config) { short(external) })
	startConnected(t, torn.serverConfig(t, orders, w.handler("handler that cuts", earlyHandler(func() { closeTunnels(torn) })), "orders"))
	all = append(all, target{"tunnel that is cut", torn.external.Addr().String(), []string{"cut"}})
	none := newDMZ(t, func(g *reverse.GatewayConfig, external, _ *ports.Config) { short(external); g.QueueWait = -1 })
	all = append(all, target{"no tunnel", none.external.Addr().String(), []string{"200"}})

	// The gateway without a port of ours: Caller is the program's.
	users := trusting(t, userCA)
	foreign := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) {
		c.Caller = func(r *http.Request) (trust.Verified, error) {
			return users.Verify(r.Context(), r.TLS.PeerCertificates)
		}
	}))
	startConnected(t, foreign.serverConfig(t, orders, guarded, "orders"))
	srv := httptest.NewUnstartedServer(w.handler("foreign", foreign.gateway))
	srv.Config.ErrorLog = discardLog
	srv.Config.ReadTimeout = 5 * time.Second // also of the handshake
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{web}, ClientAuth: tls.RequestClientCert, NextProtos: []string{"http/1.1"}}
	srv.StartTLS()
	t.Cleanup(srv.CloseClientConnections)
	t.Cleanup(srv.Close)
	return append(all, target{"gateway on a foreign server", srv.Listener.Addr().String(), []string{"413", "200", "some", "read", "panic", "/denied/x"}})
}

// Covers K13. Nothing that a client sends as a body, behind one that ended early,
// behind a refused upgrade or in place of a trailer is read as a request of its own.
func TestBodiesNeverBecomeRequests(t *testing.T) {
	t.Parallel()
	w := &witness{seenBy: map[string]int{}, attacks: map[string]bool{}}
	runs := 1
	if *full {
		runs = 30 // of some 1,800 combinations
	}
	var sent, closed, kept atomic.Int64
	var names sync.Map // of runs
	for _, p := range newTargets(t, w) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			var all sync.WaitGroup
			next := make(chan func())
			for range 24 { // most of them wait
				all.Go(func() {
					for f := range next {
						f()
					}
				})
			}
			for _, way := range p.paths {
				for _, a := range attacks {
					for range runs {
						next <- func() {
							id := fmt.Sprintf("%06d", sent.Add(1))
							names.Store(id, p.name+", "+way+", "+a.name)
							how, err := a.run(p.addr, way, id)
							for range 2 { // a busy machine may miss a deadline of the port; a defect happens each time
								if err == nil {
									break
								}
								how, err = a.run(p.addr, way, id)
							}
							// A handler with full duplex that has sent an answer cannot announce
							// what it leaves afterwards. Where that is more than what is read for
							// it, or its own deadline was over, the connection ends.
							if err != nil && way != "duplex-read" && !(strings.HasPrefix(way, "duplex") && strings.HasPrefix(a.name, "large")) {
								t.Errorf("%s, %s: %v", way, a.name, err)
							}
							switch how {
							case "closed":
								closed.Add(1)
							case "kept":
								kept.Add(1)
							}
						}
					}
				}
			}
			close(next)
			all.Wait()
		})
	}
	t.Cleanup(func() {
		t.Logf("%d attacks: %d answers announced the end of the connection, on %d the next request was answered", sent.Load(), closed.Load(), kept.Load())
		w.mu.Lock()
		defer w.mu.Unlock()
		for id := range w.attacks {
			name, _ := names.Load(id)
			t.Errorf("%v: what stood in the body was read as a request", name)
		}
		if len(w.seenBy) > 0 {
			t.Errorf("in %d runs; seen by %v", len(w.attacks), w.seenBy)
		}
	})
}

// run carries an attack out on a connection of its own. It says how the connection
// went on. A next request that follows a whole one must be answered, unless the answer
// before announced that it would not be.
func (a attack) run(addr, way, id string) (string, error) {
	a.before, a.after = strings.ReplaceAll(a.before, "NNNNNN", id), strings.ReplaceAll(a.after, "NNNNNN", id)
	config := clientConfig(alice)
	config.NextProtos = []string{"http/1.1"}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	raw, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	if !a.whole {
		raw.SetDeadline(time.Now().Add(400 * time.Millisecond)) // some are never answered
	}
	if !strings.HasPrefix(way, "/") {
		way = "/do/" + way
	}
	method, version := a.method, "1.1"
	if method == "" {
		method = "POST"
	}
	if m, v, ok := strings.Cut(method, " "); ok {
		method, version = m, v
	}
	jitter()
	head := fmt.Sprintf("%s %s HTTP/%s\r\nHost: x\r\n%s\r\n", method, way, version, a.head)
	wrote := make(chan error, 1) // an answer may come before all is taken
	go func() {
		if rand.IntN(2) == 0 {
			_, err := io.WriteString(raw, head)
			jitter()
			if err == nil {
				_, err = io.WriteString(raw, a.before)
			}
			wrote <- err
			return
		}
		_, err := io.WriteString(raw, head+a.before)
		wrote <- err
	}()
	r := bufio.NewReader(raw)
	early := a.whole && rand.IntN(2) == 0 // all at once, as a client does that does not wait
	if early {
		<-wrote
		wrote <- nil
		io.WriteString(raw, a.after)
	} else if a.whole && a.after != "" {
		go func() {
			err := <-wrote
			jitter()
			io.WriteString(raw, a.after)
			wrote <- err
		}()
	}
	res, err := answerOf(r, method)
	if err != nil {
		// No answer: it was cut off, or waits for the rest.
		if <-wrote == nil { // else the attack would be the connection's first request
			raw.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			io.WriteString(raw, a.after)
		}
		return "cut", nil
	}
	if !a.whole {
		if <-wrote != nil {
			return "over", nil
		}
		jitter()
		raw.SetDeadline(time.Now().Add(300 * time.Millisecond))
		io.WriteString(raw, a.after)
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		io.WriteString(raw, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
		for { // whatever is answered: witnesses say what was read
			if _, err := answerOf(r, "GET"); err != nil {
				return "over", nil
			}
		}
	}
	if res.Close {
		return "closed", nil
	}
	<-wrote
	if _, err := io.WriteString(raw, "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return "", fmt.Errorf("after an answer %d that announced no end the next request cannot be sent: %w", res.StatusCode, err)
	}
	next, err := answerOf(r, "GET")
	if err != nil {
		return "", fmt.Errorf("after an answer %d that announced no end the next request is not answered: %w", res.StatusCode, err)
	}
	if next.StatusCode >= 400 && next.StatusCode != res.StatusCode {
		return "", fmt.Errorf("after an answer %d the next request is answered %d", res.StatusCode, next.StatusCode)
	}
	return "kept", nil
}

// answerOf reads an answer to its end, and those of RFC 9110 section 15.2 before it.
func answerOf(r *bufio.Reader, method string) (*http.Response, error) {
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			return nil, err
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			return res, nil
		}
	}
}

func jitter() {
	switch rand.IntN(4) {
	case 0:
	case 1:
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
	default:
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
	}
}
