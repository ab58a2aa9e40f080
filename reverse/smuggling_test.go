package reverse_test

import (
	"crypto/tls"
	"fmt"
	"io"
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

// smuggled is a request in bytes that must not be read as one.
const smuggled = "DELETE /evil/NNNNNN HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"

// witness records where smuggled was seen: by handlers, guards and their observers.
type witness struct {
	mu      sync.Mutex
	seenBy  map[string]int
	attacks map[string]bool // the attacks that succeeded
}

func (w *witness) record(place, method, path string) {
	if strings.Contains(path, "evil") || method == "DELETE" {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seenBy[place]++
		w.attacks[strings.TrimPrefix(path, "/evil/")] = true
	}
}

func (w *witness) handler(place string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.record(place, r.Method, r.URL.Path)
		next.ServeHTTP(rw, r)
	})
}

func (w *witness) observe(place string) func(*middleware.Config) {
	return func(c *middleware.Config) {
		c.Observe = func(_ *http.Request, o middleware.Outcome) { w.record(place, o.Method, o.Path) }
	}
}

// earlyHandler answers before it has read the body, in every way that a handler can.
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
			r.Body = http.MaxBytesReader(w, r.Body, 1<<30) // in place, as many programs do
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

var everyPath = []string{"413", "403", "200", "204", "long", "some", "close", "limit", "deadline", "duplex", "duplex-read", "duplex-replaced", "timeout", "read", "panic"}

// newTargets returns each place where this module and net/http share a connection.
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
		{"port with a request deadline", plain("timed", newGuard(t, w.observe("guard of the timed port")).Handler(in),
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

	// The gateway without a ports.Port: the program sets Caller.
	users := trusting(t, userCA)
	foreign := newDMZ(t, gatewayConfig(func(c *reverse.GatewayConfig) {
		c.Caller = func(r *http.Request) (trust.Verified, error) {
			return users.Verify(r.Context(), r.TLS.PeerCertificates)
		}
	}))
	startConnected(t, foreign.serverConfig(t, orders, guarded, "orders"))
	srv := httptest.NewUnstartedServer(w.handler("foreign", foreign.gateway))
	srv.Config.ErrorLog = discardLog
	srv.Config.ReadTimeout = 5 * time.Second // applies to the handshake too
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{web}, ClientAuth: tls.RequestClientCert, NextProtos: []string{"http/1.1"}}
	srv.StartTLS()
	t.Cleanup(srv.CloseClientConnections)
	t.Cleanup(srv.Close)
	return append(all, target{"gateway on a foreign server", srv.Listener.Addr().String(), []string{"413", "200", "some", "read", "panic", "/denied/x"}})
}

// Covers K13. No bytes that a client sends as a body, after a body that ended early, after a
// refused upgrade or in place of a trailer are read as a request of their own.
func TestBodiesNeverBecomeRequests(t *testing.T) {
	t.Parallel()
	w := &witness{seenBy: map[string]int{}, attacks: map[string]bool{}}
	runs := 1
	if *full {
		runs = 30 // of about 1,800 combinations
	}
	var sent, closed, kept atomic.Int64
	var names sync.Map // the names of the runs
	for _, p := range newTargets(t, w) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			sessions := tls.NewLRUClientSessionCache(1)
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
							how, err := a.run(p.addr, sessions, way, id)
							for range 2 { // a busy machine may miss a deadline of the port; a defect fails twice
								if err == nil {
									break
								}
								how, err = a.run(p.addr, sessions, way, id)
							}
							// A full-duplex handler that has sent its answer cannot announce
							// the end of the connection. The connection ends if the rest of the
							// body is too long to be read, or if the handler's deadline was over.
							if err != nil && way != "duplex-read" && !(strings.HasPrefix(way, "duplex") && strings.HasPrefix(a.name, "large")) {
								t.Errorf("%s, %s: got %v, want duplex-read", way, a.name, err)
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
			t.Errorf("%v: bytes of the body were read as a request", name)
		}
		if len(w.seenBy) > 0 {
			t.Errorf("in %d runs; seen by %v", len(w.attacks), w.seenBy)
		}
	})
}
