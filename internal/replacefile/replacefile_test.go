//go:build unix

package replacefile_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/replacefile"
)

// Covers I13.
func TestOwnerGroupAndModeStay(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		if os.Getenv("MTLSGUARD_REQUIRE_ALL") == "1" {
			t.Fatal("not root: a file of somebody else's cannot be made")
		}
		t.Skip("not root: a file of somebody else's cannot be made")
	}
	name := filepath.Join(t.TempDir(), "users.yaml")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(name, 1000, 1001); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := replacefile.Write(name, []byte("new"), replacefile.Options{Mode: 0o600}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != 1000 || s.Gid != 1001 || info.Mode().Perm() != 0o640 {
		t.Errorf("%d:%d %v, want 1000:1001 0640", s.Uid, s.Gid, info.Mode().Perm())
	}
}

func TestCheckLeavesTheOldContent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	no := errors.New("no")
	for _, content := range []string{"", "old"} {
		if content != "" {
			if err := replacefile.Write(name, []byte(content), replacefile.Options{Mode: 0o640}); err != nil {
				t.Fatal(err)
			}
		}
		if err := replacefile.Write(name, []byte("new"), replacefile.Options{Check: func() error { return no }}); !errors.Is(err, no) {
			t.Errorf("%v", err)
		}
		if got, _ := os.ReadFile(name); string(got) != content {
			t.Errorf("%q is left, want %q", got, content)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}
