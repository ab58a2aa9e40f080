package source_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/source"
)

// A folder that another process has locked is an error that names it. The lock of a dead process is no
// obstacle.
// Covers S18.
func TestKeepIsOfOneProcess(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "keep")
	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), crashIn+"="+folder, crashAt+"=0", crashOf+"=lock")
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("the other process: %q, %v", line, err)
	}
	k := source.OpenKeep(folder)
	_, err = k.Lock()
	all := configerror.All(err)
	if len(all) != 1 || !strings.Contains(all[0].What, folder+" is in use by another process") || all[0].Hint == "" {
		t.Errorf("while the other process lives: %v", err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // it was killed
	unlock, err := k.Lock()
	if err != nil {
		t.Fatalf("when the other process is dead: %v", err)
	}
	if _, err := source.OpenKeep(folder).Lock(); err == nil {
		t.Error("it was locked twice in one process")
	}
	unlock()
	if unlock, err = k.Lock(); err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	unlock()
}

// A folder in which nothing can be written needs no lock, unless another user has one.
func TestLockWhereNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Log("root may write everywhere: only the folder of a store is tried")
	} else {
		folder := t.TempDir()
		if err := os.Chmod(folder, 0o500); err != nil {
			t.Fatal(err)
		}
		unlock, err := source.OpenKeep(folder).Lock()
		if err != nil {
			t.Fatal(err)
		}
		unlock()
	}
	store := t.TempDir()
	if err := source.Folder(store).Commit(background, crashGeneration(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := source.OpenKeep(store).Lock(); err == nil || !strings.Contains(err.Error(), "is the folder of a store") {
		t.Errorf("the folder of a store: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(store, "lock")); err == nil {
		t.Error("a lock was made in the folder of a store")
	}
}
