//go:build unix

package upstream

import "syscall"

// canKeep reports whether state can see what the service has sent.
const canKeep = true

// state reads without waiting. A byte that it reads is lost: the connection must be closed then.
func (c *directConn) state() connState {
	if c.raw == nil {
		return connClosed
	}
	state := connClosed
	err := c.raw.Read(func(fd uintptr) bool {
		var one [1]byte
		switch n, err := syscall.Read(int(fd), one[:]); {
		case n > 0:
			state = connSurplus
		case err == syscall.EAGAIN:
			state = connQuiet
		}
		return true
	})
	if err != nil {
		return connClosed
	}
	return state
}
