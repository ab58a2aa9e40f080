package ports

import (
	"crypto/tls"
	"runtime"
	"runtime/metrics"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// startingStack returns the size of the stack with which a goroutine starts after a collection.
func startingStack() uint64 {
	runtime.GC()
	size := []metrics.Sample{{Name: "/gc/stack/starting-size:bytes"}}
	metrics.Read(size)
	return size[0].Value.Uint64()
}

func TestGoroutinesStartWithRoomWhileAPortListens(t *testing.T) {
	p, err := New(Config{Name: "p", Addr: "127.0.0.1:0", ClientAuth: None, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // one after the other: the second finds no ballast of the first
		l, err := p.Listen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "goroutines start with 8 KiB", func() bool { return startingStack() >= 8<<10 })
		l.Close()
		testkit.Eventually(t, "the ballast is gone", func() bool { return startingStack() < 8<<10 })
	}
}
