package ports

import (
	"net"
	"net/http"
	"testing"
)

// A connection that arrives after the limits have changed is for the server with the new ones, even if the former
// server is the first to accept it.
func TestFormerServerPassesConnectionsOn(t *testing.T) {
	t.Parallel()
	l := &listener{done: make(chan struct{})}
	changed, done, from := make(chan struct{}), make(chan struct{}), make(chan net.Conn)
	former, next := serverListener{l, from, changed, done}, serverListener{l, from, make(chan struct{}), make(chan struct{})}
	own, other := net.Pipe()
	defer other.Close()
	close(changed)
	ended := make(chan error, 1)
	go func() {
		c, err := former.Accept()
		if c != nil {
			t.Error("the former server accepts it")
		}
		ended <- err
	}()
	from <- own
	if c, err := next.Accept(); c != own || err != nil {
		t.Errorf("the next server gets %v, %v", c, err)
	}
	close(done)
	if err := <-ended; err != http.ErrServerClosed {
		t.Errorf("the former server ends with %v, want %v", err, http.ErrServerClosed)
	}
}
