package workers

import (
	"runtime"
	"sync"
	"testing"
)

// One processor is left while any reload reserves it, and one worker in any case.
func TestOneProcessorIsReserved(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(all)
	for _, row := range []struct{ processors, reserved int }{{1, 1}, {2, 1}, {8, 7}} {
		runtime.GOMAXPROCS(row.processors)
		first, second := Reserve(), Reserve()
		if Limit() != row.reserved {
			t.Errorf("%d processors, one reserved: %d workers", row.processors, Limit())
		}
		first()
		first() // counts once
		if Limit() != row.reserved {
			t.Errorf("%d processors, reserved twice and released once: %d workers", row.processors, Limit())
		}
		var group sync.WaitGroup
		done := false
		Go(&group, func() { done = true })
		if row.reserved == 1 && !done {
			t.Error("the only worker did not run at once")
		}
		group.Wait()
		if !done {
			t.Error("not run")
		}
		second()
		if Limit() != row.processors {
			t.Errorf("%d processors, none reserved: %d workers", row.processors, Limit())
		}
	}
}
