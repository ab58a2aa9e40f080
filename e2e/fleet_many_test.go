package e2e

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// changeOnlyTogether returns a user and a rule for generation n: with the users of one generation and the
// policy of another, alice is denied.
func changeOnlyTogether(n uint64) []string {
	return []string{
		"users.yaml", strings.Replace(siteUsers, "user: alice", fmt.Sprintf("user: u%d", n), 1),
		"policy.csv", fmt.Sprintf("p, user:u%d, internal, GET, /whoami, allow\n", n),
	}
}

// node writes the configuration of one of several nodes, and returns the name of the file.
func (f *fleet) node(i int) string {
	f.Helper()
	name := fmt.Sprintf("node-%d.yaml", i)
	f.put(name, strings.NewReplacer("keep: keep", fmt.Sprintf("keep: keep-%d", i), "node-1", fmt.Sprintf("node-%d", i)).Replace(f.get("mtlsguard.yaml")))
	return name
}

// Every answer on five nodes is that of one whole generation, during 200 changes, and none is older
// than the one before. With -soak, 95 more nodes follow the same store.
func TestGenerationsAreNeverMixed(t *testing.T) {
	t.Parallel()
	const nodes = 5
	changes, others := 200, 0
	switch {
	case *soak:
		others = 95
	case testing.Short():
		changes = 50
	}
	f := newFleet(t)
	f.commit(changeOnlyTogether(1)...)
	var running []*live
	for n := range nodes {
		name := f.node(n)
		running = append(running, f.startWith(mtlsguard.Options{Source: f.store}, func(o mtlsguard.Options) (*mtlsguard.Server, error) {
			return mtlsguard.Open(f.path(name), o)
		}))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	for i := range others {
		server, err := mtlsguard.Open(f.path(f.node(nodes+i)), mtlsguard.Options{Source: f.store})
		if err != nil {
			t.Fatal(err)
		}
		following.Go(func() { _ = server.Run(ctx) }) // its ports are not open
	}
	var asking sync.WaitGroup
	var stop atomic.Bool
	var answers atomic.Int64
	for i, l := range running {
		client, url := f.client(f.alice), l.url("internal", "/whoami")
		asking.Go(func() {
			last := 0
			for !stop.Load() {
				answer := get(client, url)
				n := 0
				if _, err := fmt.Sscanf(answer, "200 u%d", &n); err != nil || n < last || n > changes+1 {
					t.Errorf("node %d: %s after generation %d", i+1, answer, last)
					return
				}
				last = n
				answers.Add(1)
				time.Sleep(100 * time.Microsecond) // otherwise the changes get no CPU time
			}
		})
	}
	for n := range uint64(changes) {
		f.commit(changeOnlyTogether(n + 2)...)
		f.waitForNumber(running[int(n)%nodes], n+2)
	}
	for _, l := range running {
		f.waitForNumber(l, uint64(changes)+1)
	}
	stop.Store(true)
	asking.Wait()
	t.Logf("%d answers of %d of %d nodes during %d changes", answers.Load(), nodes, nodes+others, changes)
}

// A hundred nodes follow one store. The log has the time from a commit until it is in effect on
// all of them; see docs/fleet.md.
func TestHundredNodes(t *testing.T) {
	const nodes = 100
	changes := 3
	if testing.Short() {
		changes = 1
	}
	f := newFleet(t)
	f.commit()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	goroutines := runtime.NumGoroutine()
	servers := make([]*mtlsguard.Server, nodes)
	for i := range servers {
		server, err := mtlsguard.Open(f.path(f.node(i)), mtlsguard.Options{Source: f.store})
		if err != nil {
			t.Fatal(err)
		}
		servers[i] = server
		running.Go(func() { _ = server.Run(ctx) }) // its ports are not open
	}
	var times []time.Duration
	for range changes {
		began := time.Now()
		number := f.commit("users.yaml", usersFor(fmt.Sprintf("alice%d", began.UnixNano()))).Manifest.Number
		for _, s := range servers {
			for s.Status().Source.Number != number {
				time.Sleep(time.Millisecond) // the whole is bounded below
				if time.Since(began) > time.Minute {
					t.Fatalf("generation %d is not in effect everywhere within a minute", number)
				}
			}
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	t.Logf("%d nodes, %d changes: in effect on all of them after %v (median), %v (longest)", nodes, changes, times[len(times)/2], times[len(times)-1])
	testkit.Eventually(t, "the reports of all nodes", func() bool {
		reports, err := f.store.Reports(ctx)
		return err == nil && len(reports) == nodes
	})
	cancel()
	running.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > goroutines+20 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > goroutines+20 { // other tests may have begun
		t.Errorf("%d goroutines are left, %d before", n, goroutines)
	}
}
