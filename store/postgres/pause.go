package postgres

import (
	"errors"
	"syscall"
	"time"
)

// pauses are how long to wait before another connection is tried.
type pauses struct {
	down  int // how often the server did not run
	other int // how often in a row there was another error
}

// after returns the shortest pause after an error; sleep doubles it at random. A server that does not run is tried again
// within 120 ms in the first half minute, and within 300 ms later, so that nodes read the newest generation soon after a
// restart: such an attempt costs nothing. Other errors are given up to 10 s.
func (p *pauses) after(err error) time.Duration {
	switch {
	case !isDown(err):
		p.other++
		return min(50*time.Millisecond<<min(p.other-1, 10), 5*time.Second)
	case p.down < 300:
		p.down, p.other = p.down+1, 0
		return 60 * time.Millisecond
	}
	p.other = 0
	return 150 * time.Millisecond
}

// isDown reports whether the server does not run, or is starting or stopping.
func isDown(err error) bool {
	switch code(err) {
	case "57P01", "57P02", "57P03":
		return true
	}
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) // ENOENT: a unix socket
}
