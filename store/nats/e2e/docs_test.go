package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

// The commands of docs/fleet.md print what it says.
func TestTheDocumentedCommandsWork(t *testing.T) {
	t.Parallel()
	blocks := storetest.Section(t, "NATS", "console")
	if len(blocks) != 3 || !strings.Contains(blocks[0], "nats-server") {
		t.Fatal("the blocks are others: the first one starts the server, which the test does itself")
	}
	testkit.Program(t, "curl", "curl")
	testkit.Program(t, "openssl", "openssl")
	url := newEngine(t).url()
	storetest.Console{Blocks: blocks[1:], Replace: []string{"nats://127.0.0.1:4222", url, "./node ", "./node -nats " + url + " ", "sleep 1 ", "sleep 3 "}}.Run(t)
}

// The permissions of docs/fleet.md are enough for nodes, and no more.
func TestTheDocumentedPermissions(t *testing.T) {
	t.Parallel()
	blocks := storetest.Section(t, "NATS", "")
	if len(blocks) != 1 {
		t.Fatal("there is no block with permissions, or another one")
	}
	file := filepath.Join(t.TempDir(), "nats.conf")
	text := strings.NewReplacer("$EDITOR_PASSWORD", "one", "$NODE_1_PASSWORD", "two").Replace(blocks[0])
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	e := startEngine(t, *options)
	editor := e.store(nats.UserInfo("editor", "one"))
	as := []nats.Option{nats.UserInfo("node-1", "two"), nats.CustomInboxPrefix("_INBOX_node-1")}
	node := open(t, natsstore.Config{URL: e.url(), Fleet: fleet, Options: as})
	g := commit(t, editor, next(t, nil, 300<<10))
	seen := make(chan uint64, 10)
	go follow(t.Context(), node, func(g *source.Generation) { seen <- g.Manifest.Number })
	waitFor(t, seen, 1)
	begun := time.Now()
	g = commit(t, editor, next(t, g, 300<<10))
	waitFor(t, seen, 2)
	if took := time.Since(begun); took > 9*time.Second {
		t.Errorf("the node has heard nothing, and looked after %v", took)
	}
	if err := node.PutReport(t.Context(), source.Report{Node: "node-1", Number: 2}); err != nil {
		t.Error(err)
	}
	if all, err := editor.Reports(t.Context()); err != nil || len(all) != 1 || all[0].Number != 2 {
		t.Errorf("reports: %v, %v", all, err)
	}
	if _, err := editor.Prune(t.Context(), natsstore.Retention{Keep: 1}); err != nil {
		t.Error(err)
	}
	conn, err := nats.Connect(e.url(), append(as, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, subject := range []string{
		"$KV.mtlsguard_orders.head", "$KV.mtlsguard_orders.gen.1", "$KV.mtlsguard-blobs_orders.blob.x.0", "$KV.mtlsguard-nodes_orders.node-2",
		"$JS.API.STREAM.DELETE.KV_mtlsguard_orders", "$JS.API.STREAM.UPDATE.KV_mtlsguard_orders", "$JS.API.STREAM.PURGE.KV_mtlsguard_orders",
		"$JS.API.STREAM.MSG.DELETE.KV_mtlsguard_orders", "mtlsguard.orders.head",
	} {
		if _, err := conn.Request(subject, []byte("{}"), 200*time.Millisecond); err == nil {
			t.Errorf("a node may publish on %s", subject)
		}
		testkit.Eventually(t, "an error of the server about "+subject, func() bool { err := conn.LastError(); return err != nil && strings.Contains(err.Error(), subject) })
	}
	if err := node.Commit(t.Context(), next(t, g)); err == nil || !strings.Contains(err.Error(), "ermissions") {
		t.Errorf("commit by a node: %v, want one that names permissions", err)
	}
	if now, err := editor.Load(t.Context(), nil); err != nil || !now.Same(g) {
		t.Errorf("the newest generation is another one: %v", err)
	}
}
