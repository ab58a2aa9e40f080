//go:build linux

package filelock_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/filelock"
)

// A process that is being started has every descriptor of its parent until its exec. The test holds such a
// copy itself.
func TestCloseUnlocksWhileACopyIsOpen(t *testing.T) {
	dir := t.TempDir()
	first, second := open(t, dir), open(t, dir)
	if err := filelock.TryLock(first); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(first.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := filelock.TryLock(second); !errors.Is(err, filelock.ErrHeld) {
		t.Fatalf("locked twice: %v", err)
	}
	filelock.Close(first)
	if err := filelock.TryLock(second); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func open(t *testing.T, name string) *os.File {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
