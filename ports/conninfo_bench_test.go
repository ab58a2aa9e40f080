package ports

import (
	"sync/atomic"
	"testing"
)

// BenchmarkRequestCount compares the counter of a connection's requests with one that only knows
// which handlers are at work, in turns: the number of requests costs nothing more.
func BenchmarkRequestCount(b *testing.B) {
	for range 3 {
		b.Run("handlers at work", func(b *testing.B) {
			var n atomic.Int32
			for b.Loop() {
				n.Add(1)
				n.Add(-1)
			}
		})
		b.Run("and requests", func(b *testing.B) {
			var r requests
			for b.Loop() {
				r.begin()
				r.end()
			}
		})
	}
}
