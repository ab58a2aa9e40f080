package quota_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/quota"
)

// mutexMap is the rival: token buckets in a map under a mutex.
type mutexMap struct {
	mu      sync.Mutex
	buckets map[string]*tokens
}

type tokens struct {
	left float64
	at   int64
}

func (m *mutexMap) take(user string, now int64, perNano, burst float64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.buckets[user]
	if b == nil {
		b = &tokens{burst, now}
		m.buckets[user] = b
	}
	b.left = min(burst, b.left+float64(now-b.at)*perNano)
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// BenchmarkTake measures one request against rules for one user or for 100,000 at random, beside
// a map under a mutex for each rule. The clock is read once a request.
func BenchmarkTake(b *testing.B) {
	started := time.Now()
	clock := func() int64 { return int64(time.Since(started)) }
	rate := quota.NewRate(1_000_000, time.Second, 1000)
	for _, users := range []int{1, 100_000} {
		names := make([]string, users)
		for i := range names {
			names[i] = fmt.Sprintf("user-%06d", i)
		}
		order := rand.New(rand.NewPCG(1, 2)).Perm(users)
		for _, rules := range []int{1, 10} {
			ours, rivals := make([]quota.Buckets, rules), make([]mutexMap, rules)
			for i := range rivals {
				rivals[i].buckets = map[string]*tokens{}
			}
			one := func(user string) {
				now, hash := clock(), quota.Hash(user)
				for i := range ours {
					ours[i].Take(hash, user, now, rate, clock)
				}
			}
			rival := func(user string) {
				now := clock()
				for i := range rivals {
					rivals[i].take(user, now, 0.001, 1000)
				}
			}
			for _, user := range names {
				one(user)
				rival(user)
			}
			for _, x := range []struct {
				name string
				take func(string)
			}{{"ours", one}, {"mutex+map", rival}} {
				b.Run(fmt.Sprintf("users=%d/rules=%d/%s", users, rules, x.name), func(b *testing.B) {
					b.ReportAllocs()
					for i := 0; b.Loop(); i++ {
						x.take(names[order[i%users]])
					}
				})
				if users == 1 {
					continue
				}
				b.Run(fmt.Sprintf("users=%d/rules=%d/parallel/%s", users, rules, x.name), func(b *testing.B) {
					b.RunParallel(func(pb *testing.PB) {
						for i := rand.IntN(users); pb.Next(); i++ {
							x.take(names[order[i%users]])
						}
					})
				})
			}
		}
	}
}
