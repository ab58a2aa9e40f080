package workers

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// With one processor a goroutine that gives way lets one go first for which something has come
// over a connection meanwhile. Gosched would not.
func TestYieldLetsRequestsGoFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var served atomic.Int32
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for b := make([]byte, 1); ; served.Add(1) {
			if _, err := r.Read(b); err != nil {
				return
			}
		}
	}()
	runtime.Gosched() // it waits from here on
	release := Reserve()
	const requests = 100
	late := 0
	for i := range int32(requests) {
		if _, err := w.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		if Yield(); served.Load() <= i {
			late++
			for served.Load() <= i {
				runtime.Gosched()
			}
		}
	}
	if late > requests/10 { // another goroutine of the process may come between
		t.Errorf("%d of %d requests waited for the goroutine that had given way", late, requests)
	}
	release()
	Yield() // without effect
	w.Close()
	<-ended
}

// Several goroutines that give way, while a reservation ends and another begins, all go on.
func TestYieldNeverBlocks(t *testing.T) {
	var done atomic.Bool
	ended := make(chan struct{})
	const goroutines = 4
	for range goroutines {
		go func() {
			for i := 0; !done.Load(); i++ {
				YieldAt(255)
			}
			ended <- struct{}{}
		}()
	}
	for range 200 {
		first, second := Reserve(), Reserve()
		runtime.Gosched()
		first()
		second()
	}
	done.Store(true)
	for range goroutines {
		<-ended
	}
}

// Reloads in a bubble of testing/synctest, in another one, and outside may overlap.
func TestYieldCrossesBubbles(t *testing.T) {
	var reserved, yielded atomic.Bool
	var outside sync.WaitGroup
	outside.Go(func() {
		for !reserved.Load() {
			runtime.Gosched()
		}
		Yield()
		yielded.Store(true)
	})
	synctest.Test(t, func(*testing.T) {
		release := Reserve()
		reserved.Store(true)
		for !yielded.Load() {
			runtime.Gosched()
		}
		release()
	})
	outside.Wait()
}
