// Package expire is go-cache with a type and a bound.
//
// go-cache itself grows without limit, so it is keyed only by what was verified
// (a chain, a named user), never by what a caller may choose, and counted.
package expire

import (
	"time"

	cache "github.com/patrickmn/go-cache"
)

// Cache keeps values for a time. It is safe for concurrent use.
type Cache[V any] struct {
	entries *cache.Cache
	most    int
}

// New returns a cache of at most so many values, each kept for at most ttl.
func New[V any](most int, ttl time.Duration) *Cache[V] {
	// No janitor: Put cleans up when the bound is reached, so that a cache needs
	// no goroutine and goes away with its owner.
	return &Cache[V]{entries: cache.New(ttl, 0), most: most}
}

// Get returns the value for key, if it is there and not too old.
func (c *Cache[V]) Get(key string) (V, bool) {
	if found, ok := c.entries.Get(key); ok {
		return found.(V), true
	}
	var none V
	return none, false
}

// Put keeps a value. At the bound everything old is dropped, and everything
// where nothing is old: a cache that starts again costs time, never memory.
func (c *Cache[V]) Put(key string, v V) {
	if c.entries.ItemCount() >= c.most {
		c.entries.DeleteExpired()
		if c.entries.ItemCount() >= c.most {
			c.entries.Flush()
		}
	}
	c.entries.SetDefault(key, v)
}

// Len is the number of values, old ones included.
func (c *Cache[V]) Len() int { return c.entries.ItemCount() }
