// Package quota counts requests against a rate, for each user by itself. Its memory is bounded,
// and no flood of users makes it forget what a user has used up.
package quota

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MaxKeys bounds the buckets of one table. A bucket takes about 80 bytes and its key.
const MaxKeys = 1 << 17

const (
	minSlots  = 64
	sweepTime = int64(time.Second) // between two searches for full buckets in a table that is at its bound
	idleTime  = int64(time.Minute) // a table below its bound keeps buckets that have been full for less
)

var seed = maphash.MakeSeed()

// Hash returns the hash of a key, for Take.
func Hash(key string) uint64 { return maphash.String(seed, key) }

// Buckets are the buckets of one rule, by key. The zero value is empty, with the bound MaxKeys.
// It is safe for concurrent use; a key that has a bucket is found without a lock.
//
// A table at its bound drops the buckets that are full, and a table that grows those that have
// been full for a minute: a new bucket is full too, so nothing is lost. If all are in use, new keys share one bucket until there is room. They take what that
// bucket has used up along to their own: otherwise a caller that fills the table would get each
// quota twice.
type Buckets struct {
	slots  atomic.Pointer[[]atomic.Pointer[Bucket]] // open addressing, at most half full; its length is a power of two
	common Bucket                                   // for callers without a name

	mu     sync.Mutex
	count  int
	max    int    // 0 means MaxKeys
	shared Bucket // for keys without a bucket; it is taken from with mu held
	swept  int64  // when a table at its bound was last searched
}

// Take takes a request from the bucket of a key, at the time now of the clock, in nanoseconds.
// It returns how long to wait for the next one, 0 if this one was taken.
func (t *Buckets) Take(hash uint64, key string, now int64, r Rate, clock func() int64) (*Bucket, time.Duration) {
	b := t.find(hash, key)
	for {
		if b == nil {
			t.mu.Lock()
			if b = t.add(hash, key, now); b == nil {
				wait, _ := t.shared.take(now, r, clock)
				t.mu.Unlock()
				return &t.shared, time.Duration(wait)
			}
			t.mu.Unlock()
		}
		if wait, ok := b.take(now, r, clock); ok {
			return b, time.Duration(wait)
		}
		b = nil // removed meanwhile
	}
}

// TakeCommon is Take for callers without a name, who share one bucket.
func (t *Buckets) TakeCommon(now int64, r Rate, clock func() int64) (*Bucket, time.Duration) {
	wait, _ := t.common.take(now, r, clock)
	return &t.common, time.Duration(wait)
}

// find returns the bucket of a key, or nil. Without t.mu it may also return a removed one.
func (t *Buckets) find(hash uint64, key string) *Bucket {
	p := t.slots.Load()
	if p == nil {
		return nil
	}
	slots := *p
	for i := hash; ; i++ {
		b := slots[i&uint64(len(slots)-1)].Load()
		if b == nil || b.hash == hash && b.key == key {
			return b
		}
	}
}

// add returns the bucket of a key, a new one if it has none, or nil if there is no room. The
// caller holds t.mu.
func (t *Buckets) add(hash uint64, key string, now int64) *Bucket {
	if b := t.find(hash, key); b != nil {
		return b
	}
	limit := t.max
	if limit == 0 {
		limit = MaxKeys
	}
	switch p := t.slots.Load(); {
	case t.count >= limit:
		if now < t.swept || now-t.swept >= sweepTime {
			t.swept = now
			t.rebuild(now)
		}
	case p == nil || t.count >= len(*p)/2:
		t.rebuild(now - idleTime)
	}
	if t.count >= limit {
		return nil
	}
	b := &Bucket{hash: hash, key: strings.Clone(key)} // the key may be a part of a large text
	if used := t.shared.full.Load(); used > now {
		b.full.Store(used)
	}
	insert(*t.slots.Load(), b)
	t.count++
	return b
}

// rebuild replaces the table by one without the buckets that are full since a time. The caller
// holds t.mu.
func (t *Buckets) rebuild(since int64) {
	var kept []*Bucket
	if p := t.slots.Load(); p != nil {
		kept = make([]*Bucket, 0, t.count)
		for i := range *p {
			if b := (*p)[i].Load(); b != nil && !b.removeIfFull(since) {
				kept = append(kept, b)
			}
		}
	}
	size := minSlots
	for size < 4*len(kept) {
		size *= 2
	}
	slots := make([]atomic.Pointer[Bucket], size)
	for _, b := range kept {
		insert(slots, b)
	}
	t.count = len(kept)
	t.slots.Store(&slots)
}

// removeIfFull marks a bucket that is full since a time as removed.
func (b *Bucket) removeIfFull(since int64) bool {
	full := b.full.Load()
	return full <= since && b.full.CompareAndSwap(full, removed)
}

// insert puts a bucket into the first free slot.
func insert(slots []atomic.Pointer[Bucket], b *Bucket) {
	i := b.hash
	for slots[i&uint64(len(slots)-1)].Load() != nil {
		i++
	}
	slots[i&uint64(len(slots)-1)].Store(b)
}
