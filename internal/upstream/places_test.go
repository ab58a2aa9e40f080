package upstream_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/identitykey"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/upstream"
)

// A caller whose requests do not end leaves places for others: by certificate, or by address
// without one.
// Covers Y11.
func TestOneCallerLeavesPlacesForOthers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		requests, share, gets int
	}{{1, 0, 1}, {8, 0, 4}, {8, 25, 2}, {8, 100, 8}} {
		var mu sync.Mutex
		var refusals []string
		release, begun := make(chan struct{}), make(chan struct{}, 100)
		u := upstream.New(upstream.Config{Scheme: "http", Host: "service", Headers: defaults, Idle: testkit.Patience, Timeout: testkit.Patience,
			Requests: row.requests, CallerShare: row.share,
			Via: roundTrip(func(r *http.Request) (*http.Response, error) {
				begun <- struct{}{}
				<-release
				return &http.Response{StatusCode: 204, Body: http.NoBody, Request: r, Header: http.Header{}}, nil
			}),
			OnFailure: func(f upstream.Failure) {
				mu.Lock()
				refusals = append(refusals, f.Err.Error())
				mu.Unlock()
			},
		})
		var under sync.WaitGroup
		ask := func(id identity.Identity) (got bool) {
			answered := make(chan int, 1)
			under.Go(func() {
				w := httptest.NewRecorder()
				r := httptest.NewRequest("GET", "/", nil)
				u.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identitykey.Key{}, &id)))
				answered <- w.Code
			})
			select {
			case <-begun:
				return true
			case status := <-answered:
				if status != 503 {
					t.Errorf("status %d, want 503", status)
				}
				return false
			}
		}
		alice := identity.Identity{User: "alice", Fingerprint: "a1"}
		gets := 0
		for gets <= row.requests && ask(alice) {
			gets++
		}
		if gets != row.gets {
			t.Errorf("%+v: alice gets %d, want %d", row, gets, row.gets)
		}
		others := []identity.Identity{
			{User: "alice", Fingerprint: "a2"}, // another certificate is another caller
			{User: "Default", Remote: netip.MustParseAddr("192.0.2.1")},
		}
		for _, id := range others {
			if got := ask(id); got != (row.gets < row.requests) {
				t.Errorf("%+v: %+v gets a place: %t, want %t", row, id, got, (row.gets < row.requests))
			}
		}
		close(release)
		under.Wait()
		if gets = 0; !ask(alice) {
			t.Errorf("%+v: the places are not given back: %s", row, fmt.Sprint(refusals))
		}
		under.Wait()
	}
}
