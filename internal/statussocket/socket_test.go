//go:build unix

package statussocket

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

func report() *Report { return &Report{Ready: true, Generation: 7} }

// listen opens a socket until the end of the test.
func listen(t *testing.T, path string, answer func() *Report) *Socket {
	t.Helper()
	s, err := Listen(path, answer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// leaveBehind makes the socket of a server that was killed.
func leaveBehind(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

// Only the owner can connect, from the first moment on. Covers L15.
func TestSocketIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "status.sock")
	var stop atomic.Bool
	var looking sync.WaitGroup
	looking.Go(func() {
		for !stop.Load() {
			if info, err := os.Lstat(path); err == nil && info.Mode() != fs.ModeSocket|0o600 {
				t.Errorf("mode %s", info.Mode())
				return
			}
		}
	})
	for range 200 {
		s, err := Listen(path, report)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("got %v %v", info, err)
		}
		s.Close()
	}
	stop.Store(true)
	looking.Wait()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A dead server's socket is replaced. A running server's socket, and any other file, stays.
// Covers L15.
func TestOnlyTheSocketOfADeadServerIsReplaced(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		make func(t *testing.T, path string)
		want string // part of the error; "": it is replaced
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"left behind", leaveBehind, ""},
		{"a running server", func(t *testing.T, path string) { listen(t, path, report) }, "is that of a running server"},
		{"a file", func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("precious"), 0o600)) }, "is not a socket"},
		{"a folder", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }, "is not a socket"},
		{"a symbolic link", func(t *testing.T, path string) { must(t, os.Symlink("elsewhere", path)) }, "is not a socket"},
		{"no such folder", func(t *testing.T, path string) { must(t, os.Remove(filepath.Dir(path))) }, "cannot be made"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "status.sock")
			row.make(t, path)
			before, _ := os.Lstat(path)
			s, err := Listen(path, func() *Report { return &Report{Generation: 8} })
			if row.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if r, err := Read(path); err != nil || r.Generation != 8 {
					t.Errorf("got %+v, %v", r, err)
				}
				return
			}
			all := configerror.All(err)
			if len(all) != 1 || all[0].File != path || !strings.Contains(all[0].What, row.want) || all[0].Hint == "" {
				t.Errorf("got %v, want %v", err, row.want)
			}
			if after, _ := os.Lstat(path); before != nil && !os.SameFile(before, after) {
				t.Error("the file was replaced")
			}
			if r, err := Read(path); row.name == "a running server" && (err != nil || r.Generation != 7) {
				t.Errorf("the running server no longer answers: %+v, %v", r, err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Of servers that start together, one gets the path, and its socket stays reachable.
func TestServersThatStartTogetherDoNotReplaceEachOther(t *testing.T) {
	t.Parallel()
	for range 20 {
		path := filepath.Join(t.TempDir(), "status.sock")
		leaveBehind(t, path)
		var won atomic.Uint64
		var all sync.WaitGroup
		for i := range uint64(8) {
			all.Go(func() {
				s, err := Listen(path, func() *Report { return &Report{Generation: i + 1} })
				if err != nil {
					return
				}
				t.Cleanup(s.Close)
				if !won.CompareAndSwap(0, i+1) {
					t.Error("two servers have the same path")
				}
			})
		}
		all.Wait()
		if r, err := Read(path); err != nil || r.Generation != won.Load() {
			t.Errorf("%+v, %v; won: %d", r, err, won.Load())
		}
	}
}

// Close removes the server's own socket, and no other.
func TestCloseRemovesItsOwnSocketOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "status.sock")
	first := listen(t, path, report)
	must(t, os.Remove(path))
	listen(t, path, func() *Report { return &Report{Generation: 9} })
	first.Close()
	if r, err := Read(path); err != nil || r.Generation != 9 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// Every user who may read the folder can lock it. That neither keeps a server from starting nor
// from ending. The time that the server waits for the lock passes in a bubble.
// Covers L16.
func TestLockOfAStrangerIsIgnored(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "status.sock")
	synctest.Test(t, func(t *testing.T) {
		unlock, err := lockFolder(filepath.Dir(path), lockTimeout) // as a stranger's program would
		must(t, err)
		defer unlock()
		start := time.Now()
		s, err := Listen(path, report)
		must(t, err)
		if r, err := Read(path); err != nil || !r.Ready {
			t.Errorf("got %+v, %v", r, err)
		}
		s.Close()
		if took := time.Since(start); took < 2*lockTimeout || took > 3*lockTimeout {
			t.Errorf("start and end took %v, want %v for each", took, lockTimeout)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket was left behind: %v", err)
		}
	})
}

// A server that ends looks at its socket and removes it under the lock of those that start: one
// of them could replace the socket in between.
// Covers L16.
func TestEndWaitsForAServerThatStarts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "status.sock")
	s := listen(t, path, report)
	unlock, err := lockFolder(filepath.Dir(path), lockTimeout)
	must(t, err)
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }()
	testkit.Eventually(t, "the server accepts no connection", func() bool {
		_, err := net.Dial("unix", path)
		return err != nil
	})
	if err := checkFree(path); err != nil { // as a server that starts
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket was removed: %v", err)
	}
	next := filepath.Join(t.TempDir(), "s")
	leaveBehind(t, next)
	must(t, os.Rename(next, path))
	unlock()
	<-closed
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of the next server was removed: %v", err)
	}
}

// A panic in what the program supplies, such as its clock, ends one answer.
// Covers L16.
func TestPanicOfTheReportEndsOneAnswer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "status.sock")
	var calls atomic.Int32
	listen(t, path, func() *Report {
		if calls.Add(1) == 1 {
			panic("no clock")
		}
		return report()
	})
	if _, err := Read(path); err == nil {
		t.Error("an answer")
	}
	if r, err := Read(path); err != nil || !r.Ready {
		t.Errorf("got %+v, %v", r, err)
	}
}

// Peers that are silent, or that send something, hold no place for ever.
func TestSilentPeersCostNothingForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.sock")
	large := &Report{Config: strings.Repeat("x", 1<<20)} // more than the kernel buffers
	before := runtime.NumGoroutine()
	s := listen(t, path, func() *Report { return large })
	for range maxPeers { // all places
		c, err := net.Dial("unix", path)
		must(t, err)
		defer c.Close()
	}
	testkit.Eventually(t, "a peer that reads gets a place", func() bool { // a slow machine may need more than writeTimeout
		r, err := Read(path)
		return err == nil && len(r.Config) == len(large.Config)
	})
	testkit.Eventually(t, "the server is done with the silent peers", func() bool { return runtime.NumGoroutine() <= before+1 })

	s.Close()
	listen(t, path, report)
	c, err := net.Dial("unix", path)
	must(t, err)
	defer c.Close()
	_, _ = io.WriteString(c, "POST /reload HTTP/1.1\r\n\r\n")
	answer, _ := io.ReadAll(c) // a reset after the document is fine
	var r Report
	if err := json.Unmarshal(answer, &r); err != nil || !r.Ready || r.Generation != 7 {
		t.Errorf("%s: got %v", answer, err)
	}
}

// Every error of Read names the socket, and has a hint.
func TestReadSaysWhyThereIsNoStatus(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"nothing", func(*testing.T, string) {}, "does not exist"},
		{"left behind", leaveBehind, "has no server"},
		{"a file", func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o600)) }, ""},
		{"another program", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			must(t, err)
			t.Cleanup(func() { l.Close() })
			go func() {
				if c, err := l.Accept(); err == nil {
					_, _ = io.WriteString(c, "220 mail.example\r\n")
					c.Close()
				}
			}()
		}, "gives no status"},
	} {
		path := filepath.Join(t.TempDir(), "status.sock")
		row.make(t, path)
		_, err := Read(path)
		all := configerror.All(err)
		if len(all) != 1 || all[0].File != path || !strings.Contains(all[0].What, row.want) || all[0].Hint == "" {
			t.Errorf("%s: got %v, want %v", row.name, err, row.want)
		}
	}
}
