package expire_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/expire"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

func TestCacheIsBounded(t *testing.T) {
	c := expire.New[int](10, time.Hour)
	for i := range 1000 {
		c.Put(fmt.Sprint(i), i)
		if n := c.Len(); n > 10 {
			t.Fatalf("%d values after %d", n, i)
		}
		if v, ok := c.Get(fmt.Sprint(i)); !ok || v != i {
			t.Fatalf("%d: got %v, %v", i, v, ok)
		}
	}
	if v, ok := c.Get("never"); ok || v != 0 {
		t.Errorf("got %v, %v", v, ok)
	}
}

func TestOldValuesAreGone(t *testing.T) {
	c := expire.New[int](10, time.Nanosecond)
	c.Put("a", 1)
	testkit.Eventually(t, "the value expires", func() bool { _, ok := c.Get("a"); return !ok })
}

func TestConcurrentUse(t *testing.T) {
	c := expire.New[int](10, time.Hour)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 500 {
				key := fmt.Sprint(i * j % 50)
				c.Put(key, j)
				c.Get(key)
			}
		})
	}
	all.Wait()
	if n := c.Len(); n > 10+8 { // each goroutine may put one beyond the bound
		t.Errorf("%d values", n)
	}
}

// Covers A23.
func TestCacheIsBoundedInBytes(t *testing.T) {
	c := expire.NewSized[int](1000, 100, time.Hour)
	for i := range 500 {
		size := i % 30
		c.PutSized(fmt.Sprint(i%7), i, size) // also in the place of another
		if n := c.Size(); n > 100 {
			t.Fatalf("%d bytes after %d", n, i)
		}
		if v, ok := c.Get(fmt.Sprint(i % 7)); !ok || v != i {
			t.Fatalf("%d: got %v, %v", i, v, ok)
		}
	}
	c.PutSized("0", 1, 101)
	if _, ok := c.Get("0"); ok {
		t.Error("a value larger than the bound is kept")
	}
	for i := range 7 {
		c.Delete(fmt.Sprint(i))
	}
	if c.Size() != 0 || c.Len() != 0 {
		t.Errorf("%d bytes of %d values are left", c.Size(), c.Len())
	}
}

// Covers A23.
func TestOldValuesLeaveTheMemory(t *testing.T) {
	c := expire.NewSized[int](1000, 1000, time.Millisecond)
	for i := range 10 {
		c.PutSized(fmt.Sprint(i), i, 10)
	}
	testkit.Eventually(t, "only the new value is left", func() bool {
		c.PutSized("new", 1, 10)
		return c.Len() == 1 && c.Size() == 10
	})
}
