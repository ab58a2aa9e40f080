package quota_test

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/quota"
)

var storm = flag.Bool("storm", false, "the storm test with 100,000 users and 1,000,000 requests")

// A storm of users lets exactly a burst of each through, in bounded memory.
func TestStormOfUsersGetsABurstEach(t *testing.T) {
	users, requests := 2_000, 20_000
	if *storm {
		users, requests = 100_000, 1_000_000
	}
	x := newTable(1, time.Hour, 5)
	names := make([]string, users)
	for i := range names {
		names[i] = fmt.Sprintf("user-%06d", i)
	}
	before := heap()
	var let atomic.Int64
	var wg sync.WaitGroup
	const workers = 8
	for w := range workers {
		wg.Go(func() {
			for i := w; i < requests; i += workers {
				if x.take(names[i%users]) == 0 {
					let.Add(1)
				}
			}
		})
	}
	wg.Wait()
	per := float64(heap()-before) / float64(users)
	t.Logf("%d users, %d requests: %.0f bytes a user", users, requests, per)
	if let.Load() != int64(5*users) {
		t.Errorf("%d requests let through, want %d", let.Load(), 5*users)
	}
	if *storm && per > 150 {
		t.Errorf("%.0f bytes a user, want at most 150", per)
	}
	for i := range 2 * quota.MaxKeys {
		if !*storm {
			break
		}
		x.take(fmt.Sprint("more-", i))
	}
	if x.Len() > quota.MaxKeys {
		t.Errorf("%d buckets", x.Len())
	}
	runtime.KeepAlive(names)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
