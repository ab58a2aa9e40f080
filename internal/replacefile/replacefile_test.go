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
			t.Fatal("this test must be root: it makes a file of another user")
		}
		t.Skip("this test must be root: it makes a file of another user")
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

func TestFileThatCannotBeReplacedIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	loop := filepath.Join(dir, "loop")
	for _, err := range []error{os.Mkdir(folder, 0o700), os.Symlink(loop, loop)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, reason := range map[string]string{
		filepath.Join(dir, "missing", "file"): "its folder does not exist",
		folder:                                "it is a folder",
		loop:                                  "its link points to itself",
	} {
		if err := replacefile.Write(name, []byte("new"), replacefile.Options{Mode: 0o600}); err == nil {
			t.Errorf("%s was replaced, and %s", name, reason)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLinkedFileIsReplacedAndTheLinkStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	for _, err := range []error{os.WriteFile(target, []byte("old"), 0o600), os.Symlink("target", link)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := replacefile.Write(link, []byte("new"), replacefile.Options{}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(target); err != nil || string(got) != "new" {
		t.Errorf("got %q, %v; want new", got, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link was replaced: %v", err)
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
			t.Errorf("got %v, want %v", err, no)
		}
		if got, _ := os.ReadFile(name); string(got) != content {
			t.Errorf("%q is left, want %q", got, content)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}
