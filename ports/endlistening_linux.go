package ports

import (
	"net"
	"syscall"
)

// endListening ends the listening of every copy of a socket.
func endListening(l *net.TCPListener) {
	if c, err := l.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) }) // Close follows in any case
	}
}
