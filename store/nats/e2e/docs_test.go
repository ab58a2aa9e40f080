package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

// section returns the blocks of the section NATS of docs/fleet.md that are of a kind.
func section(t *testing.T, kind string) []string {
	t.Helper()
	_, text, ok := strings.Cut(string(read(t, "../../../docs/fleet.md")), "\n## NATS\n")
	if !ok {
		t.Fatal("docs/fleet.md has no section NATS")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var blocks []string
	for i, block := range strings.Split(text, "```") {
		if first, rest, _ := strings.Cut(block, "\n"); i%2 == 1 && first == kind {
			blocks = append(blocks, rest)
		}
	}
	return blocks
}

// The commands of docs/fleet.md print what it says.
func TestTheDocumentedCommandsWork(t *testing.T) {
	t.Parallel()
	curl, openssl := testkit.Program(t, "curl", "curl"), testkit.Program(t, "openssl", "openssl")
	if curl == "" || openssl == "" {
		t.Fatal("Program returns no path")
	}
	e := newEngine(t)
	blocks := section(t, "console")
	if len(blocks) != 3 || !strings.Contains(blocks[0], "nats-server") {
		t.Fatal("the blocks are others: the first one starts the server, which the test does itself")
	}
	var script, want strings.Builder
	command := ""
	end := func() {
		if command != "" {
			script.WriteString(command)
		}
		command = ""
	}
	here := "" // the end of a here-document
	for line := range strings.Lines(blocks[1] + blocks[2]) {
		switch after, isCommand := strings.CutPrefix(line, "$ "); {
		case here != "":
			command += line
			if strings.TrimSpace(line) == here {
				here = ""
			}
		case isCommand:
			end()
			command = after
		case strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "  done"):
			command += line
		default:
			want.WriteString(line)
		}
		if strings.Contains(line, "<<") {
			here = "EOF"
		}
	}
	end()
	checkout, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("CHECKOUT", checkout, "sleep 1 ", "sleep 3 ", "./push", "./push -nats "+e.url(), "./node ", "./node -nats "+e.url()+" ").Replace(script.String())
	ports := "PORT=(0"
	for n := 1; n <= 3; n++ {
		_, port, _ := net.SplitHostPort(freeAddress(t))
		text = strings.ReplaceAll(text, fmt.Sprintf("127.0.0.1:844%d", n), "127.0.0.1:"+port)
		ports += " " + port
	}
	text = ports + ")\n" + strings.ReplaceAll(text, "127.0.0.1:844$n", "127.0.0.1:${PORT[$n]}")
	// bash ends its children with it.
	c := exec.Command("bash", "-eu", "-c", "trap 'kill $(jobs -p); wait' EXIT\n"+text)
	c.Dir = t.TempDir()
	c.Env = append(os.Environ(), "GOWORK=off")
	var out, stderr strings.Builder
	c.Stdout, c.Stderr = &out, &stderr
	if err := c.Run(); err != nil || out.String() != want.String() {
		t.Errorf("%v\n%s\nthe output is\n%s\nwant\n%s", err, stderr.String(), out.String(), want.String())
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// The permissions of docs/fleet.md are enough for nodes, and no more.
func TestTheDocumentedPermissions(t *testing.T) {
	t.Parallel()
	blocks := section(t, "")
	if len(blocks) != 1 {
		t.Fatal("there is no block with permissions, or another one")
	}
	file := filepath.Join(t.TempDir(), "nats.conf")
	write(t, file, []byte(strings.NewReplacer("$EDITOR_PASSWORD", "one", "$NODE_1_PASSWORD", "two").Replace(blocks[0])))
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
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the node has heard nothing, and looked after %v", took)
	}
	if err := node.Tell(t.Context(), source.Report{Node: "node-1", Number: 2}); err != nil {
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
		if err := conn.LastError(); err == nil || !strings.Contains(err.Error(), subject) {
			t.Errorf("%s: the server reports %v", subject, err)
		}
	}
	if err := node.Commit(t.Context(), next(t, g)); err == nil || !strings.Contains(err.Error(), "ermissions") {
		t.Errorf("commit by a node: %v, want one that names permissions", err)
	}
	if now, err := editor.Load(t.Context(), nil); err != nil || !now.Same(g) {
		t.Errorf("the newest generation is another one: %v", err)
	}
}
