package e2e

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
)

// The commands of docs/fleet.md print what it says.
func TestTheDocumentedCommandsWork(t *testing.T) {
	t.Parallel()
	blocks := storetest.Section(t, "etcd", "console")
	if len(blocks) != 4 || !strings.Contains(blocks[0], "etcd --data-dir") {
		t.Fatal("the blocks are others: the first one starts the server, which the test does itself")
	}
	storetest.Console(t, blocks[1]+blocks[2], "-etcd "+newEngine(t).client.String())
}
