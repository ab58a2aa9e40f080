//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// requestsPerSecond is the load during a reload.
const requestsPerSecond = 3000

// paced sends requests at a fixed rate until stop is closed, and returns the 99th percentile of
// their times in seconds. A request that has to wait for the answer before it is late, and its
// time begins when it was due.
func (w *world) paced(addr string, stop <-chan struct{}) (p99 float64, err error) {
	const connections = 16
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	var times []float64
	var all sync.WaitGroup
	var failed error
	for i := range connections {
		all.Go(func() {
			mine, err := w.pacedConnection(ctx, addr, time.Duration(i)*time.Second/requestsPerSecond, connections*time.Second/requestsPerSecond, stop)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, mine...)
			failed = firstError(failed, err)
		})
	}
	all.Wait()
	if failed != nil || len(times) == 0 {
		return 0, firstError(failed, fmt.Errorf("no request within the time of a reload"))
	}
	slices.Sort(times)
	return times[len(times)*99/100], nil
}

func (w *world) pacedConnection(ctx context.Context, addr string, first, every time.Duration, stop <-chan struct{}) (times []float64, err error) {
	c, err := w.dial(ctx, addr, "http/1.1", nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	if err := exchange(c, r); err != nil { // the handshake is not measured
		return nil, err
	}
	for due := time.Now().Add(first); ; due = due.Add(every) {
		start := due
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
			start = time.Now() // the timer of this process may be late
		}
		select {
		case <-stop:
			return times, nil
		default:
		}
		if err := exchange(c, r); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start).Seconds())
	}
}
