// Package testkit holds what the tests of several packages share: a bounded wait, a
// clock that a test moves, HTTP clients with a client certificate, and the check for
// programs that a test needs. It is for tests only.
package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Patience is how long Eventually waits before the test fails. It is far longer than
// any of our operations takes, so that a busy machine does not fail a test.
const Patience = time.Minute

// Eventually waits until condition returns true. It fails the test after Patience, and
// reports event, the thing that did not happen. The test must not hope for the opposite:
// Eventually returns at once when the condition holds, and cannot check that nothing
// happens.
func Eventually(tb testing.TB, event string, condition func() bool) {
	tb.Helper()
	end := time.Now().Add(Patience)
	for pause := time.Millisecond; !condition(); pause = min(2*pause, 25*time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("waited %v in vain: %s", Patience, event)
		}
		time.Sleep(pause) // grows: tests wait beside one another, and a condition may be a whole handshake
	}
}

// Clock runs as time.Now does, ahead of it by the sum of all Advance calls. The zero
// Clock is the real time. It is safe for concurrent use.
type Clock struct{ ahead atomic.Int64 }

// Now returns the clock's time.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Advance moves the clock forward, or back if d is negative.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// Set makes t the clock's present time, from which it runs on.
func (c *Clock) Set(t time.Time) { c.ahead.Store(int64(time.Until(t))) }

// SocketFolder returns a new folder for a Unix socket, which is removed after the test. The path of a
// socket has at most about 100 bytes; t.TempDir is longer than that for a test with a long name.
func SocketFolder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Program returns the path of a program that the test runs. The test is skipped if the
// program is not installed, with the name of its Debian package; see Skip.
func Program(tb testing.TB, name, debianPackage string) string {
	tb.Helper()
	for _, folder := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin") { // a user's PATH lacks /usr/sbin
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path
		}
	}
	Skip(tb, name+" is not installed; the Debian package is "+debianPackage)
	return ""
}

// Skip skips the test because this system lacks something. It fails the test instead if
// MTLSGUARD_REQUIRE_ALL is 1, as in continuous integration, where every test must run.
func Skip(tb testing.TB, why string) {
	tb.Helper()
	if os.Getenv("MTLSGUARD_REQUIRE_ALL") == "1" {
		tb.Fatal(why)
	}
	tb.Skip(why)
}

// SkipUnderRace skips the test in a run with the race detector, which takes several times as long
// and would find nothing more: why names what runs the same code there, or that the work is done by
// other programs. The test runs without the detector, in continuous integration too.
func SkipUnderRace(tb testing.TB, why string) {
	tb.Helper()
	if underRace {
		tb.Skip("under the race detector: " + why)
	}
}
