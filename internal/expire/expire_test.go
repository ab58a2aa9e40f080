package expire_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/expire"
)

func TestCacheIsBounded(t *testing.T) {
	c := expire.New[int](10, time.Hour)
	for i := range 1000 {
		c.Put(fmt.Sprint(i), i)
		if n := c.Len(); n > 10 {
			t.Fatalf("%d values after %d", n, i)
		}
		if v, ok := c.Get(fmt.Sprint(i)); !ok || v != i {
			t.Fatalf("%d: %v, %v", i, v, ok)
		}
	}
	if v, ok := c.Get("never"); ok || v != 0 {
		t.Errorf("%v, %v", v, ok)
	}
}

func TestOldValuesAreGone(t *testing.T) {
	c := expire.New[int](10, time.Nanosecond)
	c.Put("a", 1)
	for end := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
		if _, ok := c.Get("a"); !ok {
			return
		}
		if time.Now().After(end) {
			t.Fatal("still there")
		}
	}
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
