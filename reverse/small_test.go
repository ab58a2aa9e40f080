package reverse_test

import (
	"context"
	"net"
)

// listenSmall listens for connections whose kernel buffers take little of an answer.
func listenSmall(ctx context.Context, addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	return small{l}, err
}

type small struct{ net.Listener }

func (l small) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		t.SetWriteBuffer(4096)
	}
	return c, err
}
