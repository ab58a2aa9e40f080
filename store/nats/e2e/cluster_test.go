package e2e

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

// cluster starts three servers.
func cluster(t *testing.T) []*engine {
	t.Helper()
	var routes []*url.URL
	var ports []int
	for range 3 {
		address := testkit.FreeAddress(t)
		routes = append(routes, &url.URL{Scheme: "nats", Host: address})
		_, port, _ := net.SplitHostPort(address)
		var n int
		fmt.Sscan(port, &n)
		ports = append(ports, n)
	}
	var out []*engine
	for i := range 3 {
		out = append(out, startEngine(t, server.Options{
			ServerName: fmt.Sprintf("server-%d", i+1), Routes: routes,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]},
		}))
	}
	testkit.Eventually(t, "the cluster has a leader", func() bool {
		for _, e := range out {
			if e.server.JetStreamIsLeader() {
				return true
			}
		}
		return false
	})
	return out
}

// Three replicas: editors and nodes go on when a server is lost, even the one that leads.
func TestAClusterGoesOnWithoutOneServer(t *testing.T) {
	t.Parallel()
	servers := cluster(t)
	var urls []string
	for _, e := range servers {
		urls = append(urls, e.url())
	}
	config := natsstore.Config{URL: strings.Join(urls, ","), Fleet: fleet, Replicas: 3}
	editor := open(t, config)
	var g *source.Generation
	push := func() {
		t.Helper()
		started := time.Now()
		for {
			parent, err := editor.Load(t.Context(), nil)
			if err != nil {
				parent = g
			}
			n := next(t, parent, 300<<10)
			if err = editor.Commit(t.Context(), n); err == nil {
				g = n
				return
			}
			if time.Since(started) > testkit.Patience {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	push()
	var seen []chan uint64
	for range 3 {
		node := open(t, config)
		news := make(chan uint64, 100)
		seen = append(seen, news)
		go follow(t.Context(), node, func(g *source.Generation) { news <- g.Manifest.Number })
	}
	hear := func() {
		t.Helper()
		for _, news := range seen {
			waitFor(t, news, g.Manifest.Number)
		}
	}
	hear()
	var leader *engine
	testkit.Eventually(t, "the manifests have a leader", func() bool {
		for _, e := range servers {
			if e.server.JetStreamIsStreamLeader("$G", "KV_mtlsguard_orders") {
				leader = e
				return true
			}
		}
		return false
	})
	leader.stop()
	begun := time.Now()
	push()
	hear()
	t.Logf("without the leader of the manifests generation %d was everywhere after %v", g.Manifest.Number, time.Since(begun))
	leader.start()
	push()
	hear()
	if all, err := editor.History(t.Context(), 0, 100); err != nil || len(all) != int(g.Manifest.Number) {
		t.Errorf("the history has %d manifests of %d: %v", len(all), g.Manifest.Number, err)
	}
}
