package e2e

import (
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/source"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
)

// The permissions of docs/fleet.md are enough for nodes, and no more. A node with a password gets a new token after a
// restart.
func TestTheDocumentedPermissions(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	admin := e.admin()
	grant(t, admin, storetest.Section(t, "etcd", "console")[3])
	for user, role := range map[string]string{"root": "root", "node-1": "node-1"} {
		if _, err := admin.UserAdd(t.Context(), user, "secret"); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.UserGrantRole(t.Context(), user, role); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := admin.AuthEnable(t.Context()); err != nil {
		t.Fatal(err)
	}
	as := func(user string) *etcdstore.Store {
		c := e.config()
		c.Username, c.Password = user, "secret"
		return open(t, etcdstore.Config{Client: c, Fleet: fleet})
	}
	editor, node := as("root"), as("node-1")
	g := commit(t, editor, next(t, nil, 300<<10))
	seen := make(chan uint64, 10)
	go follow(t.Context(), node, func(g *source.Generation) { seen <- g.Manifest.Number })
	waitFor(t, seen, 1)
	g = commit(t, editor, next(t, g, 300<<10))
	waitFor(t, seen, 2)
	if err := node.PutReport(t.Context(), source.Report{Node: "node-1", Number: 2}); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"the report of another node": node.PutReport(t.Context(), source.Report{Node: "node-2"}),
		"a commit":                   node.Commit(t.Context(), next(t, g)),
	} {
		if err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s: %v, want one that names the permission", what, err)
		}
	}
	if _, err := node.Prune(t.Context(), etcdstore.Retention{}); err == nil {
		t.Error("a node may remove generations")
	}
	e.restart(100 * time.Millisecond)
	begun := time.Now()
	commit(t, editor, next(t, g))
	waitFor(t, seen, 3)
	t.Logf("the first commit after a restart was there after %v", time.Since(begun))
	if all, err := editor.Reports(t.Context()); err != nil || len(all) != 1 || all[0].Number != 2 {
		t.Errorf("reports: %v, %v", all, err)
	}
}

// grant does what a block of etcdctl commands does.
func grant(t *testing.T, admin *clientv3.Client, block string) {
	t.Helper()
	if _, err := admin.RoleAdd(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(block) {
		words := strings.Fields(strings.TrimPrefix(line, "$ etcdctl role "))
		var err error
		switch {
		case words[0] == "add":
			_, err = admin.RoleAdd(t.Context(), words[1])
		case words[0] == "grant-permission" && words[2] == "--prefix=true" && words[3] == "read":
			_, err = admin.RoleGrantPermission(t.Context(), words[1], words[4], clientv3.GetPrefixRangeEnd(words[4]), clientv3.PermissionType(clientv3.PermRead))
		case words[0] == "grant-permission" && words[2] == "readwrite":
			_, err = admin.RoleGrantPermission(t.Context(), words[1], words[3], "", clientv3.PermissionType(clientv3.PermReadWrite))
		default:
			t.Fatalf("the test does not know %q", line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
