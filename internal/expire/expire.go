// Package expire provides a typed cache with limits, in entries and in bytes, on top of
// go-cache, which grows without limit.
package expire

import (
	"sync"
	"time"

	cache "github.com/patrickmn/go-cache"
)

// Cache holds values for a limited time. It is safe for concurrent use.
type Cache[V any] struct {
	entries    *cache.Cache
	maxEntries int
	maxBytes   int // 0: no limit
	ttl        time.Duration

	mu      sync.Mutex // of changes
	size    int        // bytes
	cleaned time.Time
}

type entry[V any] struct {
	value V
	size  int
}

// New returns a cache of at most the given number of values. Each is held for at most ttl.
func New[V any](most int, ttl time.Duration) *Cache[V] { return NewSized[V](most, 0, ttl) }

// NewSized is New with a limit for the sum of the sizes that PutSized gets. 0 means no limit.
func NewSized[V any](most, bytes int, ttl time.Duration) *Cache[V] {
	// Without a janitor: Put removes expired values, so that a cache needs no goroutine and
	// is garbage with its owner.
	c := &Cache[V]{entries: cache.New(ttl, 0), maxEntries: most, maxBytes: bytes, ttl: ttl, cleaned: time.Now()}
	c.entries.OnEvicted(func(_ string, v any) { c.size -= v.(*entry[V]).size }) // under mu: only Put and Delete evict
	return c
}

// Get returns the value for a key that has not expired.
func (c *Cache[V]) Get(key string) (V, bool) {
	if found, ok := c.entries.Get(key); ok {
		return found.(*entry[V]).value, true
	}
	var none V
	return none, false
}

// Put stores a value. At a limit it removes the expired values, and all values if none has
// expired: an empty cache costs time, but no memory.
func (c *Cache[V]) Put(key string, v V) { c.PutSized(key, v, 0) }

// PutSized is Put for a value of the given size in bytes. A value larger than the limit is not
// stored.
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

// Delete removes a value.
func (c *Cache[V]) Delete(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Delete(key)
}

// Len returns the number of values, including expired ones.
func (c *Cache[V]) Len() int { return c.entries.ItemCount() }

// Size returns the sum of the sizes of the values, including expired ones.
func (c *Cache[V]) Size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}
