package ports

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A process that is being started has every descriptor of its parent until its exec. The test holds such a
// copy of the listening socket itself: a port whose listener is closed accepts nothing, and can listen again.
func TestClosedPortEndsWhileACopyOfItsSocketIsOpen(t *testing.T) {
	t.Parallel()
	p := &Port{name: "internal"}
	p.state.Store(&state{config: Config{Addr: testkit.FreeAddress(t)}}) // no other test listens there afterwards
	for range 3 {
		l, err := p.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := l.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		fd, failed := 0, error(nil)
		if err := errors.Join(raw.Control(func(of uintptr) { fd, failed = syscall.Dup(int(of)) }), failed); err != nil {
			t.Fatal(err)
		}
		syscall.CloseOnExec(fd)
		defer syscall.Close(fd)
		accepted := make(chan error, 1)
		go func() { _, err := l.Accept(); accepted <- err }()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-accepted; err == nil {
			t.Error("Accept returns a connection after Close")
		}
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
			t.Errorf("%s accepts connections after Close", l.Addr())
		}
	}
}
