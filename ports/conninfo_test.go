package ports_test

import (
	"crypto/tls"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// infoOf returns the port's description of a client's connection.
func infoOf(t *testing.T, p *ports.Port, own *caller) ports.ConnInfo {
	t.Helper()
	for _, c := range p.Connections() {
		if c.Remote.String() == own.local.String() {
			return c
		}
	}
	t.Fatal("the connection is not listed")
	return ports.ConnInfo{}
}

func TestConnectionsAreDescribed(t *testing.T) {
	t.Parallel()
	start := time.Now()
	c, _ := config(t, ports.Request)
	p := serving(t, c)
	anonymous := admitted(t, p, clientConfig(nil, h1, tls12))
	cache := &anyKey{}
	with := func(c *tls.Config) { c.ClientSessionCache = cache }
	admitted(t, p, clientConfig(alice, with)).Close()
	testkit.Eventually(t, "the client has a session", cache.holds)
	resumed := admitted(t, p, clientConfig(alice, with))
	for range 4 {
		if _, _, err := resumed.get("/"); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "two connections are left", func() bool { return len(p.Connections()) == 2 })
	for name, row := range map[string]struct {
		own  *caller
		want ports.ConnInfo
	}{
		"http/1.1, no certificate": {anonymous, ports.ConnInfo{TLSVersion: tls.VersionTLS12, Protocol: "http/1.1", Requests: 1}},
		"HTTP/2, resumed":          {resumed, ports.ConnInfo{TLSVersion: tls.VersionTLS13, Protocol: "h2", Resumed: true, Leaf: alice.Cert, Until: alice.Cert.NotAfter, Requests: 5}},
	} {
		got := infoOf(t, p, row.own)
		if got.ID == 0 || got.Port != "request" || got.ServerName != "localhost" || got.Proxy != nil || got.Hijacked || got.Ending || got.User != "" {
			t.Errorf("%s: got %+v, want an open connection to localhost on port request, without a user", name, got)
		}
		if got.TLSVersion != row.want.TLSVersion || got.Protocol != row.want.Protocol || got.Resumed != row.want.Resumed || got.Requests != row.want.Requests || !got.Until.Equal(row.want.Until) {
			t.Errorf("%s: %+v, want %+v", name, got, row.want)
		}
		if got.Leaf == nil != (row.want.Leaf == nil) || got.Leaf != nil && !got.Leaf.Equal(row.want.Leaf) {
			t.Errorf("%s: the leaf is %v", name, got.Leaf)
		}
		if got.Since.Before(start) || got.Last.Before(got.Since) || got.Last.After(time.Now()) {
			t.Errorf("%s: since %v, last request at %v", name, got.Since, got.Last)
		}
	}
	list := p.Connections()
	if list[0].ID == list[1].ID || list[0].Since.After(list[1].Since) || list[0].ID != infoOf(t, p, anonymous).ID {
		t.Errorf("not the oldest first: %+v", list)
	}
}

// A request that is under way counts. The time of the last one stays when no other comes.
func TestRequestsUnderWayAreCounted(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	p := newPort(t, c)
	hold := make(chan struct{})
	serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-hold
		}
	}), p)
	own, err := dial(t, p, clientConfig(alice))
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the port has the connection", func() bool { return len(p.Connections()) == 1 })
	if got := infoOf(t, p, own); got.Requests != 0 || got.Active != 0 || !got.Last.IsZero() {
		t.Errorf("before any request: %+v", got)
	}
	if _, _, err := own.get("/"); err != nil { // the client dials once only
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	for range 2 {
		go func() { _, _, err := own.get("/hold"); ended <- err }()
	}
	testkit.Eventually(t, "two requests are under way", func() bool { return infoOf(t, p, own).Active == 2 })
	close(hold)
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	testkit.Eventually(t, "no request is under way", func() bool { return infoOf(t, p, own).Active == 0 })
	var last time.Time
	testkit.Eventually(t, "a sweep has noted the last request", func() bool {
		former := last
		last = infoOf(t, p, own).Last
		return last.Sub(former).Abs() < time.Microsecond
	})
	if got := infoOf(t, p, own); got.Requests != 3 || time.Since(got.Last) > 3*time.Second {
		t.Errorf("got %+v, want 3 requests, the last one just now", got)
	}
}

// An idle connection is closed soon, and a busy one when its answer is complete. No other
// connection is closed, and OnClosed reports nothing.
func TestConnectionIsClosedByID(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]tlsOption{"HTTP/2": nil, "HTTP/1.1": {h1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := config(t, ports.Require)
			var reported atomic.Int64
			c.OnClosed = func(ports.Closed) { reported.Add(1) }
			p := newPort(t, c)
			hold := make(chan struct{})
			serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/hold" {
					<-hold
				}
			}), p)
			idle, busy, other := admitted(t, p, clientConfig(alice, options...)), admitted(t, p, clientConfig(alice, options...)), admitted(t, p, clientConfig(bob, options...))
			answered := make(chan error, 1)
			go func() { _, _, err := busy.get("/hold"); answered <- err }()
			testkit.Eventually(t, "a request is under way", func() bool { return infoOf(t, p, busy).Active == 1 })
			if p.CloseConnection(0) || p.CloseConnection(1<<60) {
				t.Error("a connection that does not exist was closed")
			}
			for _, own := range []*caller{idle, busy} {
				if !p.CloseConnection(infoOf(t, p, own).ID) {
					t.Error("the connection is unknown")
				}
			}
			if took := idle.ends(t); took > 10*time.Second {
				t.Errorf("the idle connection was open for %v", took)
			}
			if got := infoOf(t, p, busy); !got.Ending {
				t.Errorf("the busy connection is %+v, want it to be ending", got)
			}
			close(hold)
			if err := <-answered; err != nil {
				t.Errorf("the answer under way: %v", err)
			}
			busy.ends(t)
			if _, _, err := other.get("/"); err != nil {
				t.Errorf("another connection: %v", err)
			}
			testkit.Eventually(t, "one connection is left", func() bool { return len(p.Connections()) == 1 })
			if list := p.Connections(); !list[0].Leaf.Equal(bob.Cert) || reported.Load() != 0 {
				t.Errorf("%+v, %d reported", list, reported.Load())
			}
		})
	}
}
