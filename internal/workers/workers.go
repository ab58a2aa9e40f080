// Package workers bounds how many goroutines parse files at a time. While all processors parse,
// nothing looks for new requests for up to 10 ms: a goroutine may run that long.
package workers

import (
	"runtime"
	"sync"
)

// Limit returns how many goroutines may parse now: one for each processor, or one less while a
// processor is reserved, but at least one.
func Limit() int {
	if reserved.Load() > 0 {
		return max(1, runtime.GOMAXPROCS(0)-1)
	}
	return runtime.GOMAXPROCS(0)
}

// Go runs f in a goroutine of a group, or at once if one goroutine may parse.
func Go(group *sync.WaitGroup, f func()) {
	if Limit() == 1 {
		f()
		return
	}
	group.Go(f)
}
