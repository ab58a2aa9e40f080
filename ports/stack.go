package ports

import "sync/atomic"

// stackRoom is more than a stack of 4 KiB has left when a request begins.
const stackRoom = 3 << 10

// growStack makes the first stack of a goroutine, of 2 KiB, grow to 8 KiB before it is deep: each
// growth costs 0.1 µs for each frame that the stack holds, and the guard with a small handler
// needs 4 KiB. It does nothing: only the size of its frame counts.
//
//go:noinline
func growStack(touch bool) {
	if touch {
		var room [stackRoom]byte
		clearRoom(room[:])
	}
}

//go:noinline
func clearRoom(room []byte) { clear(room) }

// ballast reports whether the sweep of a listening port has a deep stack. One port of the program
// has it as long as it listens; then the next sweep of another port takes its place.
//
// The runtime gives a new goroutine a stack as large as the average that the last garbage
// collection found in use, rounded up to a power of two (metric /gc/stack/starting-size:bytes).
// The goroutines of a port wait with shallow stacks. With few connections they bring the average
// down to 2 KiB, and then the goroutines of every request, those in which net/http reads and
// writes among them, copy their stacks to grow: 2 µs of a request on HTTP/2, 1 µs on HTTP/1. The
// ballast brings it up to 8 KiB. An idle connection has 2.8 KiB in use: beyond some 700 of them
// their own stacks decide, so it costs less than 3 MiB.
//
// A goroutine of its own, for all ports, would have to learn from each of them when it ends. Ports in
// different bubbles of testing/synctest, as in the tests of a program, cannot share its channel.
var ballast atomic.Bool

// The ballast holds 256 KiB. Its pages are never touched.
const (
	ballastFrames = 16
	ballastFrame  = 16 << 10
)

// holdStack calls f with a number of large frames on its stack.
//
//go:noinline
func holdStack(frames int, touch bool, f func()) {
	if touch {
		var room [ballastFrame]byte
		clearRoom(room[:])
	}
	if frames > 1 {
		holdStack(frames-1, touch, f)
		return
	}
	f()
}
