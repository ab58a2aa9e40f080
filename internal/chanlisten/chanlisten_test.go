package chanlisten_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
)

func TestConnectionsAreHandedOver(t *testing.T) {
	t.Parallel()
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7}
	l := chanlisten.New(addr)
	if l.Addr() != net.Addr(addr) {
		t.Error(l.Addr())
	}
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	handed := make(chan error, 1)
	go func() { handed <- l.Hand(t.Context(), there) }()
	if c, err := l.Accept(); err != nil || c != there {
		t.Errorf("got %v, %v", c, err)
	}
	if err := <-handed; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Hand(ctx, there); !errors.Is(err, context.Canceled) {
		t.Errorf("Hand without Accept: %v", err)
	}
	accepted := make(chan error, 1)
	go func() { _, err := l.Accept(); accepted <- err }()
	l.Close()
	l.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if err := l.Hand(t.Context(), there); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Hand: %v", err)
	}
}
