package outbound_test

import (
	"flag"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/outbound"
)

var full = flag.Bool("full", false, "run the proofs in full: 10,000 calls each of 100 identities and calls without one, 100,000 identities")

// The number of pools and of their connections is bounded for any number of identities.
// Covers J10.
func TestNumberOfPoolsIsBounded(t *testing.T) {
	const most = 8
	identities := 200
	if *full {
		identities = 100_000
	}
	w, s := newFixture(t), serve(t, nil)
	w.config.OnHandshake = nil
	w.config.MaxPools = most
	pair := clientCA.Leaf("someone").TLS()
	w.config.Keystore = keystoreFunc(func(alias string) (*outbound.Credential, error) { // one leaf for all aliases: the alias is part of the pool's key
		return outbound.NewCredential(alias, pair)
	})
	transport := w.transport()
	c := &http.Client{Transport: transport}
	var before runtime.MemStats
	for i := range identities {
		if i == min(100, identities/2) {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		wantBody(t, as(t, "id-"+strconv.Itoa(i)), c, s.URL, "someone")
		if got := transport.Stats(); got.Pools > most || got.Retiring > 0 {
			t.Fatalf("got %+v, want at most %d pools", got, most)
		}
	}
	if got := transport.Stats(); got.Pools != most || got.Evicted != int64(identities-most) {
		t.Errorf("got %+v, want %d pools, and %d evicted", got, most, identities-most)
	}
	testkit.Eventually(t, "the connections of those that were given up are closed", func() bool { return openConns(s) == most })
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d identities, %d KiB more than after the first", identities, grown>>10)
	if grown > 32<<20 {
		t.Errorf("%d MiB more", grown>>20)
	}
	// The pool that was used last stays.
	evicted := fmt.Sprint(transport.Stats().Evicted)
	wantBody(t, as(t, "id-"+strconv.Itoa(identities-1)), c, s.URL, "someone")
	if got := fmt.Sprint(transport.Stats().Evicted); got != evicted {
		t.Errorf("%s evicted, then %s, want %s", evicted, got, evicted)
	}
}

// The least recently used pool without a call is evicted.
// Covers J10.
func TestLeastRecentlyUsedPoolIsEvicted(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	w, s := newFixture(t, "a", "b", "c"), serve(t, waitThenEcho(done))
	defer close(done)
	w.config.MaxPools = 2
	transport := w.transport()
	c := &http.Client{Transport: transport}
	r, _ := http.NewRequestWithContext(as(t, "a"), "GET", s.URL+"/slow", nil)
	under, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer under.Body.Close()
	for _, alias := range []string{"b", "c", "a"} {
		if _, err := get(as(t, alias), c, s.URL); err != nil {
			t.Error(err)
		}
	}
	// b was evicted for c, and a never was.
	if got := s.conns.Load(); got != 3 {
		t.Errorf("%d connections", got)
	}
	if got := transport.Stats(); got.Pools != 2 || got.Evicted != 1 || got.InFlight != 1 {
		t.Errorf("got %+v, want 2 pools, one evicted and one call in flight", got)
	}
}

// Of the pools without calls, the last used one stays.
// Covers J10.
func TestPoolThatWasUsedLastStays(t *testing.T) {
	t.Parallel()
	w, s := newFixture(t, "a", "b", "c"), serve(t, nil)
	w.config.MaxPools = 2
	c := w.client()
	for i, alias := range []string{"a", "b", "a", "c", "a"} {
		wantBody(t, as(t, alias), c, s.URL, alias)
		if got, want := s.conns.Load(), []int64{1, 2, 2, 3, 3}[i]; got != want {
			t.Errorf("after call %d: %d connections, want %d", i, got, want)
		}
	}
}
