package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// watchedConn is a connection that records when its read fails.
type watchedConn struct {
	net.Conn
	once  sync.Once
	ended chan time.Time
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.once.Do(func() { c.ended <- time.Now() })
	}
	return n, err
}

// openConn is one open connection, and the time at which it ends.
type openConn struct {
	name    string
	ended   chan time.Time
	request func() string // makes another request on it
}

// streams answers in every way that keeps a connection busy.
func streams(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/orders/socket": // like a WebSocket
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	case "/orders/events": // like server-sent events, in a handler that ignores its context
		for {
			if _, err := io.WriteString(w, "data: x\n\n"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	default:
		whoami(w, r)
	}
}

// open opens a connection of each kind.
func (l *live) open(holder *testpki.Pair) (out []openConn) {
	l.Helper()
	dial := func(name string, options ...func(*http.Transport)) (*http.Client, openConn) {
		o := openConn{name: name, ended: make(chan time.Time, 1)}
		c := l.client(holder, append(options, func(t *http.Transport) {
			t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				return &watchedConn{Conn: c, ended: o.ended}, err
			}
		})...)
		c.Timeout = 0
		return c, o
	}
	for name, option := range map[string]func(*http.Transport){"HTTP/1.1": func(*http.Transport) {}, "HTTP/2": testkit.HTTP2} {
		c, o := dial(name+", idle", option)
		o.request = func() string { return get(c, l.url("internal", "/whoami")) }
		if got := o.request(); got[:3] != "200" {
			l.Fatalf("%s: got %s, want 200", o.name, got)
		}
		out = append(out, o)
		c, o = dial(name+", events", option)
		res, err := c.Get(l.url("internal", "/orders/events"))
		if err != nil || res.StatusCode != 200 {
			l.Fatal(o.name, err)
		}
		l.Cleanup(func() { res.Body.Close() })
		event := make(chan string, 1)
		go func() {
			defer close(event)
			for buf := make([]byte, 9); ; {
				if _, err := io.ReadFull(res.Body, buf); err != nil {
					return
				}
				select {
				case event <- "event":
				default: // no test reads it now
				}
			}
		}()
		o.request = func() string { <-event; return <-event } // the first event may be old
		out = append(out, o)
	}
	o := openConn{name: "hijacked", ended: make(chan time.Time, 1)}
	raw, err := net.Dial("tcp", portAddr(l, "internal"))
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { raw.Close() })
	c := tls.Client(&watchedConn{Conn: raw, ended: o.ended}, &tls.Config{RootCAs: l.serve.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{holder.TLS()}})
	io.WriteString(c, "GET /orders/socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
	answer := make([]byte, 4096)
	if n, err := c.Read(answer); err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 101 ") {
		l.Fatalf("%s: got %q, %v; want 101", o.name, answer[:n], err)
	}
	echo := make(chan string, 1)
	go func() {
		for buf := make([]byte, 16); ; {
			n, err := c.Read(buf)
			if err != nil {
				close(echo)
				return
			}
			echo <- string(buf[:n])
		}
	}()
	o.request = func() string { io.WriteString(c, "ping"); return <-echo }
	return append(out, o)
}

// Revoking a certificate ends all of its connections within a second, in every state, and no
// others.
// Covers G2, G4, G5.
func TestRevocationClosesOpenConnections(t *testing.T) { // not parallel: the limit is a second
	s := newSite(t)
	s.handler = http.HandlerFunc(streams)
	s.put("policy.csv", strings.ReplaceAll(sitePolicy, "p, user:bob, *, *, /orders/*, deny\n", ""))
	l := s.start(mtlsguard.Options{})
	alices, bobs := l.open(s.alice), l.open(s.bob)
	s.put("ca.crl", s.crl(2, s.alice))
	start := time.Now()
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	limit := time.After(time.Until(start.Add(10 * time.Second))) // the limit is 1 s, which package ports tests; the rest is for busy machines
	for _, o := range alices {
		select {
		case at := <-o.ended:
			t.Logf("%s: closed after %s", o.name, at.Sub(start))
		case <-limit:
			t.Fatalf("%s: still open", o.name)
		}
	}
	time.Sleep(time.Until(start.Add(1200 * time.Millisecond))) // by then every connection that a reload closes is closed
	for _, o := range bobs {
		select {
		case <-o.ended:
			t.Errorf("%s of bob is closed", o.name)
		default:
			if got := o.request(); got != "200 bob" && got != "event" && got != "ping" {
				t.Errorf("%s of bob: %q", o.name, got)
			}
		}
	}
	if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "refused" {
		t.Errorf("alice again: %s, want refused", got)
	}
}

// Revoking one of many certificates closes one connection.
// Covers G5.
func TestRevocationClosesOneConnectionOfMany(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "limits: {", "limits: {connections_per_ip: 1000, ")
	l := s.start(mtlsguard.Options{})
	const many = 80
	all, ended := make([]*http.Client, many), make([]chan time.Time, many)
	pairs := make([]*testpki.Pair, many)
	name := func(i int) string { return fmt.Sprintf("user%d", i) }
	for i := range all {
		pairs[i] = s.ca.Leaf(name(i), func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"Staff"} })
		ended[i] = make(chan time.Time, 1)
		all[i] = s.client(pairs[i], func(t *http.Transport) {
			t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				return &watchedConn{Conn: c, ended: ended[i]}, err
			}
		})
		if got := get(all[i], l.url("internal", "/whoami")); got != "200 "+name(i) {
			t.Fatal(got)
		}
	}
	const one = 42
	s.put("ca.crl", s.crl(2, pairs[one]))
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended[one]:
	case <-time.After(testkit.Patience):
		t.Error("the connection of the revoked certificate is still open")
	}
	for i, c := range all {
		if i == one {
			continue
		}
		if got := get(c, l.url("internal", "/whoami")); got != "200 "+name(i) || len(ended[i]) > 0 {
			t.Errorf("%s: %s, %d closed", name(i), got, len(ended[i]))
		}
	}
	if got := status(l, "internal").Connections; got != many-1 {
		t.Errorf("%d connections are open", got)
		for i := range ended {
			if i != one && len(ended[i]) > 0 {
				t.Errorf("%s ended at %v, now %v", name(i), <-ended[i], time.Now())
			}
		}
	}
}

// A certificate that expires while its connection is open ends its requests.
// Covers G1.
func TestExpiredCertificateIsRefusedOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var now testkit.Clock
	l := s.start(mtlsguard.Options{Now: now.Now})
	short := s.ca.Leaf("alice", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(10 * time.Minute) })
	clients := map[string]*http.Client{"HTTP/1.1": s.client(short), "HTTP/2": s.client(short, testkit.HTTP2), "resumed": s.client(short, testkit.Resuming)}
	for name, c := range clients {
		for range 2 {
			if got := get(c, l.url("internal", "/whoami")); got != "200 alice" {
				t.Fatalf("%s: got %s, want 200 alice", name, got)
			}
		}
	}
	get(s.client(s.bob), l.url("internal", "/whoami")) // meanwhile the connections become idle at the server
	now.Advance(11 * time.Minute)
	for name, c := range clients {
		if got := get(c, l.url("internal", "/whoami")); got != "403 expired" && !(name == "resumed" && got == "refused") {
			t.Errorf("%s, after: %s", name, got)
		}
		if got := get(c, l.url("internal", "/whoami")); got != "refused" {
			t.Errorf("%s, again: %s, want refused", name, got)
		}
	}
}

// With cancel_requests the context of a revoked certificate's handler ends while the handler
// can still answer. Other handlers' contexts do not end.
// Covers G9.
func TestRevocationCancelsRequests(t *testing.T) { // not parallel: less than a second is left to answer
	for name, option := range map[string]func(*http.Transport){"HTTP/1.1": func(*http.Transport) {}, "HTTP/2": testkit.HTTP2} {
		s := newSite(t)
		entered, release := make(chan struct{}, 2), make(chan struct{})
		s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, _ := identity.FromContext(r.Context())
			entered <- struct{}{}
			select {
			case <-r.Context().Done():
				io.WriteString(w, id.User+" was cancelled")
			case <-release:
				io.WriteString(w, id.User+" was not")
			}
		})
		l := s.start(mtlsguard.Options{})
		s.sub(config, "strict: true", "strict: true\n    cancel_requests: true")
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
		answers := map[*testpki.Pair]chan string{s.alice: make(chan string, 1), s.bob: make(chan string, 1)}
		for holder, answer := range answers {
			c := s.client(holder, option)
			go func() { answer <- get(c, l.url("internal", "/whoami")) }()
		}
		<-entered
		<-entered
		s.put("ca.crl", s.crl(2, s.alice))
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
		if got := <-answers[s.alice]; got != "200 alice was cancelled" {
			t.Errorf("%s: got %s, want alice's request to be cancelled", name, got)
		}
		select {
		case got := <-answers[s.bob]:
			t.Errorf("%s: bob's request ended with %s", name, got)
		case <-time.After(50 * time.Millisecond):
		}
		close(release)
		if got := <-answers[s.bob]; got != "200 bob was not" {
			t.Errorf("%s: got %s, want bob's request not to be cancelled", name, got)
		}
	}
}
