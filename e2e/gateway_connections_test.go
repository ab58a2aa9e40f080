//go:build linux

package e2e

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A gateway is one address, and has a connection for each request that is under way: 300 at
// one time, with the configuration that docs/gateways.md shows.
func TestRealGatewaysMayHaveManyConnections(t *testing.T) {
	t.Parallel()
	const requests = 300
	forEachProduct(t, func(t *testing.T, product *product) {
		if product.name != "nginx" && product.name != "haproxy" {
			return // the limits of the others are their own
		}
		var arrived atomic.Int64
		all, failed := make(chan struct{}), make(chan struct{})
		fail := sync.OnceFunc(func() { close(failed) })
		handshakes := make(chan struct{}, 16) // at a time
		p := behindReal(t, product, func(p *realGateway) {
			p.sub(config, "drain: 1s", "drain: 1s, handshake: 1m") // so that a busy machine does not reach it
			p.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-handshakes
				if arrived.Add(1) == requests {
					close(all)
				}
				select {
				case <-all:
					whoami(w, r)
				case <-failed:
					http.Error(w, "too few arrived", http.StatusGatewayTimeout)
				}
			})
		})
		client := p.client(p.alice)
		client.Timeout = 6 * testkit.Patience // 600 handshakes
		var mu sync.Mutex
		answers := map[string]int{}
		var asking sync.WaitGroup
		for range requests {
			asking.Go(func() {
				select {
				case handshakes <- struct{}{}:
				case <-failed:
					return
				}
				answer := get(client, p.url+"/whoami")
				if answer != "200 alice" {
					fail()
				}
				mu.Lock()
				answers[answer]++
				mu.Unlock()
			})
		}
		asking.Wait()
		if answers["200 alice"] != requests {
			t.Errorf("%d of %d requests arrived together: %v", arrived.Load(), requests, answers)
			for _, line := range p.live.log.find("event", "handshake") {
				if line["outcome"] != "ok" {
					t.Log(line)
				}
			}
		}
	})
}

// The default of connections_per_ip fits the callers of the port: many addresses, or the few
// of gateways. lint reports a value that a gateway reaches.
func TestConnectionsPerAddressOfPortsBehindGateways(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		limits  string
		perIP   int
		finding bool
	}{
		{"drain: 1s", 10000, false},
		{"drain: 1s, connections: 700", 700, false},
		{"drain: 1s, connections: 20000", 20000, false},
		{"drain: 1s, connections_per_ip: 100", 100, true},
		{"drain: 1s, connections: 700, connections_per_ip: 700", 700, false},
		{"drain: 1s, connections: 700, connections_per_ip: 699", 699, true},
		{"drain: 1s, connections_per_ip: 1000", 1000, false},
	} {
		b := newBehind(t)
		b.sub(config, "limits: {drain: 1s}", "limits: {"+row.limits+"}")
		server, err := mtlsguard.Open(b.path(config), mtlsguard.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := server.Ports()[0].Config().Limits.PerIP; got != row.perIP {
			t.Errorf("%s: %d, want %d", row.limits, got, row.perIP)
		}
		found, err := mtlsguard.Lint(b.path(config), mtlsguard.LintOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range found {
			if f.About == "ports" && f.Line == 5 && strings.Contains(f.What, "connections_per_ip is ") {
				n++
			}
		}
		if n > 0 != row.finding || n > 1 {
			t.Errorf("%s: %d findings in %v", row.limits, n, found)
		}
	}
	s := newSite(t)
	server, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := server.Ports()[0].Config().Limits.PerIP; got != 100 {
		t.Errorf("without gateways: %d, want 100", got)
	}
}
