package testkit

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// FreeAddress returns an address 127.0.0.1:PORT for a program that cannot listen on port 0 and
// report which one it got. Nothing listens there, and until the test ends FreeAddress returns it to
// no other test, of other processes too. The port is below those that systems give out by
// themselves: otherwise a client's connection could have it before the program.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		port := 12_000 + rand.IntN(20_000)
		if !reserve(tb, port) {
			continue
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if isFree(address) {
			return address
		}
	}
	tb.Fatal("no port of 127.0.0.1 is free")
	return ""
}

// tryClone makes package os try once whether it can clone: for that it takes no lock.
var tryClone = sync.OnceFunc(func() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Release()
	}
})

// isFree reports whether a program can listen at an address. This process starts no other one meanwhile:
// until that executed its program it would hold the socket, and the address.
func isFree(address string) bool {
	if runtime.GOOS == "linux" { // elsewhere net.Listen takes this lock itself
		tryClone()
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// reserve takes the port among tests, until this one ends. The reservation is the name of an
// abstract socket: it ends with the process in any case.
func reserve(tb testing.TB, port int) bool {
	tb.Helper()
	if runtime.GOOS != "linux" {
		return true // no such sockets: chance alone keeps tests apart
	}
	l, err := net.Listen("unix", fmt.Sprintf("@mtlsguard-test-%d", port))
	if err != nil {
		return false
	}
	tb.Cleanup(func() { l.Close() })
	return true
}
