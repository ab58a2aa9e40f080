package workers

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// turn gives way to requests. runtime.Gosched alone does not: while a goroutine is ready to run,
// the scheduler does not look for news from the network, and a goroutine that gives way is ready.
// With one processor requests would wait until the runtime's monitor looks, every 10 ms. A goroutine
// that waits for a pipe is not ready.
//
// There are pipes both ways, and no channel: a channel of one testing/synctest bubble panics in another.
type turn struct{ ask, answer *os.File }

var current atomic.Pointer[turn] // nil: no processor is reserved, or there is no pipe

// newTurn returns nil if the system has no pipe left.
func newTurn() *turn {
	asked, ask, err := os.Pipe()
	if err != nil {
		return nil
	}
	answer, answering, err := os.Pipe()
	if err != nil {
		asked.Close()
		ask.Close()
		return nil
	}
	go func() {
		defer asked.Close()
		defer answering.Close()
		defer answer.Close()
		for b := make([]byte, 1); ; {
			if _, err := asked.Read(b); err != nil {
				return // ask is closed
			}
			runtime.Gosched() // what came with the byte goes first
			if _, err := answering.Write(b); err != nil {
				return
			}
		}
	}()
	return &turn{ask, answer}
}

// wait returns when the requests that have come are on their way.
func (t *turn) wait() {
	if t != nil {
		b := []byte{0}
		if _, err := t.ask.Write(b); err == nil {
			_, _ = t.answer.Read(b) // an error: the reservation has ended
			return
		}
	}
	runtime.Gosched()
}

func (t *turn) close() {
	if t != nil {
		_ = t.ask.Close() // its goroutine ends
	}
}

var (
	mu       sync.Mutex
	reserved atomic.Int32 // calls of Reserve that were not released; changed with mu held
)

// Reserve leaves one processor to requests until release is called.
func Reserve() (release func()) {
	mu.Lock()
	defer mu.Unlock()
	if reserved.Add(1) == 1 {
		current.Store(newTurn())
	}
	return sync.OnceFunc(func() {
		mu.Lock()
		defer mu.Unlock()
		if reserved.Add(-1) == 0 {
			current.Swap(nil).close()
		}
	})
}

// Yield lets requests go first while a processor is reserved. Call it every few hundred µs: a
// goroutine that does not give way holds up requests for up to 10 ms, if another one collects
// garbage or there is one processor.
func Yield() {
	if reserved.Load() > 0 {
		current.Load().wait()
	}
}

// YieldAt is Yield for one of 256 numbers: for a loop whose rounds take less than a microsecond.
func YieldAt(i int) {
	if i%256 == 255 {
		Yield()
	}
}
