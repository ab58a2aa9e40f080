// Package expire is go-cache with a type and a bound, in entries and in bytes.
//
// go-cache itself grows without limit, so it is keyed only by what was verified
// (a chain, a named user), never by what a caller may choose, and counted.
package expire

import (
	"sync"
	"time"

	cache "github.com/patrickmn/go-cache"
)

// Cache keeps values for a time. It is safe for concurrent use.
type Cache[V any] struct {
	entries    *cache.Cache
	maxEntries int
	maxBytes   int // 0: not counted
	ttl        time.Duration

	mu      sync.Mutex // of changes
	size    int        // bytes
	cleaned time.Time
}

type entry[V any] struct {
	value V
	size  int
}

// New returns a cache of at most so many values, each kept for at most ttl.
func New[V any](most int, ttl time.Duration) *Cache[V] { return NewSized[V](most, 0, ttl) }

// NewSized is New with a bound on the sum of the sizes that are given to PutSized. 0
// is no bound.
func NewSized[V any](most, bytes int, ttl time.Duration) *Cache[V] {
	// No janitor: Put cleans up, so that a cache needs no goroutine and goes away with
	// its owner.
	c := &Cache[V]{entries: cache.New(ttl, 0), maxEntries: most, maxBytes: bytes, ttl: ttl, cleaned: time.Now()}
	c.entries.OnEvicted(func(_ string, v any) { c.size -= v.(*entry[V]).size }) // under mu: only Put and Delete evict
	return c
}

// Get returns the value for key, if it is there and not too old.
func (c *Cache[V]) Get(key string) (V, bool) {
	if found, ok := c.entries.Get(key); ok {
		return found.(*entry[V]).value, true
	}
	var none V
	return none, false
}

// Put keeps a value. At the bound everything old is dropped, and everything
// where nothing is old: a cache that starts again costs time, never memory.
func (c *Cache[V]) Put(key string, v V) { c.PutSized(key, v, 0) }

// PutSized is Put for a value of so many bytes. One that is larger than the bound is
// not kept.
func (c *Cache[V]) PutSized(key string, v V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Delete(key)
	if c.maxBytes > 0 && size > c.maxBytes {
		return
	}
	if c.isFull(size) || time.Since(c.cleaned) > c.ttl {
		c.entries.DeleteExpired()
		c.cleaned = time.Now()
		if c.isFull(size) {
			c.entries.Flush()
			c.size = 0
		}
	}
	c.entries.SetDefault(key, &entry[V]{v, size})
	c.size += size
}

func (c *Cache[V]) isFull(size int) bool {
	return c.entries.ItemCount() >= c.maxEntries || c.maxBytes > 0 && c.size+size > c.maxBytes
}

// Delete drops a value.
func (c *Cache[V]) Delete(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Delete(key)
}

// Len is the number of values, old ones included.
func (c *Cache[V]) Len() int { return c.entries.ItemCount() }

// Held is the sum of the sizes of the values, old ones included.
func (c *Cache[V]) Size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}
