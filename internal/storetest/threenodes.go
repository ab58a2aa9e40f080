package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// ThreeNodes tests three nodes that follow the store: a commit is in effect through TLS, also one that removes a user. During an
// outage of the store no caller is refused, and a node that starts serves too. The first commit after the outage is in effect at
// once.
func ThreeNodes(t *testing.T, e Engine) {
	editor := e.Open()
	n := newNodes(t)
	commitUsers := func(users ...string) time.Time {
		t.Helper()
		return n.commit(editor, n.generation(users...))
	}
	begun := commitUsers("alice")
	var stops []func()
	for i := range 3 {
		stops = append(stops, n.start(fmt.Sprintf("node-%d", i+1), e.Open()))
	}
	n.inEffect("alice", begun)
	carol := n.pki.Client("carol")
	for i := range n.servers {
		if got := n.ask(carol, i); got == "carol" {
			t.Fatalf("node %d: carol is a user before the commit", i+1)
		}
	}
	t.Logf("a commit was in effect on three nodes after %v", n.inEffect("carol", commitUsers("alice", "carol")))

	commitUsers("alice")
	for i := range n.servers {
		testkit.Eventually(t, fmt.Sprintf("node %d refuses a user who was removed", i+1), func() bool { return n.ask(carol, i) == "403 Forbidden" })
	}

	asked, stop := n.askAllTheTime("alice", 0, 1)
	e.Stop()
	stops[2]()
	n.startAgain(2, e.Open())
	alice := n.pki.Client("alice")
	for i, server := range n.servers {
		testkit.Eventually(t, "the status reports that the store does not answer", func() bool { s := server.Status().Source; return !s.Connected && s.Error != "" })
		if got := n.ask(alice, i); got != "alice" {
			t.Errorf("node %d answers alice without the store: %s", i+1, got)
		}
	}
	e.Start()
	begun = time.Now()
	testkit.Eventually(t, "the editor is connected", func() bool { _, err := editor.Load(t.Context(), nil); return err == nil })
	commitUsers("alice", "carol", "dave")
	took := n.inEffect("dave", begun)
	stop()
	t.Logf("the first commit after an outage was in effect %v after the restart; meanwhile %d answers, none refused", took, asked.Load())
	if took > 500*time.Millisecond+Slack {
		t.Errorf("the commit took %v", took)
	}
	testkit.Eventually(t, "the reports of all nodes", func() bool {
		all, err := editor.Reports(t.Context())
		if err != nil || len(all) != 3 {
			return false
		}
		for i, r := range all {
			if r.Node != fmt.Sprintf("node-%d", i+1) || r.Number != n.newest.Manifest.Number {
				return false
			}
		}
		return true
	})
}
