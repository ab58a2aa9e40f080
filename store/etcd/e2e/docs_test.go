package e2e

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// The commands of docs/fleet.md print what it says.
func TestTheDocumentedCommandsWork(t *testing.T) {
	t.Parallel()
	blocks := storetest.Section(t, "etcd", "console")
	if len(blocks) != 4 || !strings.Contains(blocks[0], "etcd --data-dir") {
		t.Fatal("the blocks are others: the first one starts the server, which the test does itself")
	}
	testkit.Program(t, "curl", "curl")
	testkit.Program(t, "openssl", "openssl")
	url := newEngine(t).client
	storetest.Console{Blocks: blocks[1:3], Replace: []string{"127.0.0.1:2379", url.Host, "./node ", "./node -etcd " + url.String() + " ", "sleep 1 ", "sleep 3 "}}.Run(t)
}
