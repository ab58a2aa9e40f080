// Package fleet_test runs the commands of docs/fleet.md.
package fleet_test

import (
	"os"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// The commands of the section about a folder and a web server print what it says.
func TestDocumentedFolder(t *testing.T) {
	t.Parallel()
	for _, p := range [][2]string{{"curl", "curl"}, {"nginx", "nginx-light"}} {
		testkit.Program(t, p[0], p[1])
	}
	dir, err := os.MkdirTemp("", "fleet") // that nginx, as another user, can read
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	storetest.Console{
		Blocks:  storetest.Section(t, "A folder and a web server", "console"),
		Replace: []string{"sleep 2", "sleep 4"},
		Dir:     dir,
		Env:     []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin"},
	}.Run(t)
}
