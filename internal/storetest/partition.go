package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// Partition tests nodes while changes are committed. The connections of three in ten nodes fail for five seconds: refused, silent,
// slow, or cut in the middle of a file. The other nodes get every change meanwhile. No node refuses a user that it knows, and all
// have the newest generation when the trouble is over. openAt opens a store at the address of a proxy of target.
func Partition(t *testing.T, e Engine, target string, openAt func(addr string) source.Store) {
	size, changes := 100, 20
	if testing.Short() {
		size, changes = 20, 4
	}
	n := newNodes(t)
	editor := e.Open()
	change := func(number int) *source.Generation {
		return n.of(map[string]string{
			"users.yaml": "mappings:\n  - {id: alice, user: alice, subject: \"CN=alice,OU=Users\", issuer: client-ca.pem}\n",
			"large":      strings.Repeat(fmt.Sprintf("%063d\n", number), 1<<10), // 64 KiB
		})
	}
	n.commit(editor, change(0))
	var proxies []*Proxy
	var asked []int
	cut := size * 3 / 10
	for i := range size {
		from := e.Open
		if i < cut {
			p := NewProxy(t, target)
			proxies = append(proxies, p)
			from = func() source.Store { return openAt(p.Addr()) }
		}
		name := fmt.Sprintf("node-%d", i)
		if i < 4 || i >= size-2 { // one of each trouble, and some without
			n.start(name, from())
			asked = append(asked, i)
		} else {
			n.follow(name, from())
		}
	}
	number := func(node int) uint64 { return n.servers[node].Status().Source.Number }
	// inEffect waits until nodes have the newest generation, and returns how long each took.
	inEffect := func(what string, from, to int, begun time.Time) []time.Duration {
		t.Helper()
		took := make([]time.Duration, to-from)
		defer func() {
			for i := range took {
				if took[i] == 0 {
					t.Logf("node %d: %+v", from+i, *n.servers[from+i].Status().Source)
				}
			}
		}()
		testkit.Eventually(t, what, func() bool {
			for i := range took {
				if took[i] == 0 && number(from+i) == n.newest.Manifest.Number {
					took[i] = time.Since(begun)
				}
			}
			return !slices.Contains(took, 0)
		})
		return took
	}
	inEffect("all nodes have the first generation", 0, size, time.Now())
	before := inEffect("a change without trouble", 0, size, n.commit(editor, change(1)))

	answers, stop := n.askAllTheTime("alice", asked...)
	first := n.newest.Manifest.Number
	for i, p := range proxies {
		p.Make(Trouble(1 + i%int(troubles-1)))
	}
	began := time.Now()
	var others []time.Duration
	for i := range changes {
		others = append(others, inEffect("a change on the nodes without trouble", cut, size, n.commit(editor, change(i+2)))...)
		time.Sleep(time.Until(began.Add(time.Duration(i+1) * 5 * time.Second / time.Duration(changes))))
	}
	for i := range cut {
		if got := number(i); Trouble(1+i%int(troubles-1)) != Slow && got != first {
			t.Errorf("node %d has generation %d during its trouble", i, got)
		}
	}
	lasted := time.Since(began)
	begun := time.Now()
	for _, p := range proxies {
		p.Make(None)
	}
	after := inEffect("all nodes have the newest generation", 0, cut, begun)
	stop()
	for _, all := range [][]time.Duration{before, others, after} {
		slices.Sort(all)
	}
	p99 := func(all []time.Duration) time.Duration { return all[len(all)*99/100] }
	t.Logf("%d nodes: p99 of a change without trouble %v; %d nodes in trouble for %v: p99 of %d changes on the others %v; after it all have the newest after %v (median %v); %d answers, none refused",
		size, p99(before), cut, lasted.Round(time.Millisecond), changes, p99(others), after[len(after)-1], after[len(after)/2], answers.Load())
}
