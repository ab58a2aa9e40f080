package testkit

import (
	"slices"
	"testing"
	"time"
)

// batch is how many calls Fastest times together.
const batch = 1024

// Fastest is the loop of a benchmark of f, which gets the number of the call. Beside ns/op it
// reports ns/fastest: the time of a call in the tenth of the batches that were fastest. Other
// programs on the machine make it only a little longer.
func Fastest(b *testing.B, f func(i int)) {
	b.Helper()
	b.ReportAllocs()
	times := make([]time.Duration, 0, 1<<16)
	start := time.Now()
	for i := 0; b.Loop(); i++ {
		f(i)
		if i%batch == batch-1 && len(times) < cap(times) {
			now := time.Now()
			times, start = append(times, now.Sub(start)), now
		}
	}
	if len(times) > 0 {
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/10].Nanoseconds())/batch, "ns/fastest")
	}
}
