package mtlsguard

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Returning memory holds up every request where there is one processor.
func TestMemoryIsReturnedWhenFewRequestsCome(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		running bool
		refused bool // the requests are
		most    int  // requests a second, in the first five seconds
		after   time.Duration
	}{
		"the server does not run":   {false, false, 1000, 0},
		"no request comes":          {true, false, 0, time.Second},
		"few requests come":         {true, false, fewRequests - 1, time.Second},
		"many requests come":        {true, false, fewRequests, 6 * time.Second},
		"many requests are refused": {true, true, fewRequests, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				own := &counts{}
				s := &Server{counts: []*counts{{}, own}}
				s.running.Store(row.running)
				var clients sync.WaitGroup
				defer clients.Wait()
				clients.Go(func() {
					for range 5 {
						time.Sleep(time.Second / 2)
						for range row.most {
							own.countDecision(!row.refused, "denied")
						}
						time.Sleep(time.Second / 2)
					}
				})
				start := time.Now()
				s.waitForFewRequests()
				if took := time.Since(start); took != row.after {
					t.Errorf("memory is returned after %v, want %v", took, row.after)
				}
			})
		})
	}
}

func TestMemoryIsReturnedOnceTheServerStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own := &counts{}
		s := &Server{counts: []*counts{own}}
		s.running.Store(true)
		time.AfterFunc(2500*time.Millisecond, func() { s.running.Store(false) })
		var client sync.WaitGroup
		defer client.Wait()
		client.Go(func() {
			for range 500 {
				own.countDecision(true, "")
				time.Sleep(10 * time.Millisecond)
			}
		})
		start := time.Now()
		s.waitForFewRequests()
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("memory is returned after %v, want 3s", took)
		}
	})
}
