package ports

import (
	"crypto/tls"
	"net"
	"runtime"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// startingStack returns the size of the stack with which a goroutine starts after a collection.
func startingStack() uint64 {
	runtime.GC()
	size := []metrics.Sample{{Name: "/gc/stack/starting-size:bytes"}}
	metrics.Read(size)
	return size[0].Value.Uint64()
}

// piped opens a port over pipes.
func piped(t *testing.T) net.Listener {
	t.Helper()
	p, err := New(Config{Name: "p", Addr: "127.0.0.1:0", ClientAuth: None, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return p.Wrap(chanlisten.New(&net.TCPAddr{}))
}

func TestGoroutinesStartWithRoomWhileAPortListens(t *testing.T) {
	if testkit.Alone(t) {
		return
	}
	for range 2 { // one after the other: the second finds no ballast of the first
		synctest.Test(t, func(t *testing.T) {
			l := piped(t)
			testkit.Eventually(t, "goroutines start with 8 KiB", func() bool { return startingStack() >= 8<<10 })
			l.Close()
			testkit.Eventually(t, "the ballast is gone", func() bool { return startingStack() < 8<<10 })
		})
	}
}

// A program may test its ports in bubbles of testing/synctest. All goroutines of a port end with it,
// whatever other ports listen.
func TestPortLeavesNoGoroutineToOthers(t *testing.T) {
	t.Parallel()
	began, begun := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(begun)
		<-began
		l := piped(t)
		t.Cleanup(func() { l.Close() })
	}()
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		l := piped(t)
		close(began)
		<-begun
		l.Close()
		time.Sleep(2 * sweepEvery)
	})
}
