package e2e

import (
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
)

// Three nodes follow the store: a commit is in effect through TLS, an outage of the store refuses no caller, and
// the first commit after it is in effect at once.
func TestThreeNodesFollowTheStore(t *testing.T) {
	t.Parallel()
	storetest.ThreeNodes(t, newEngine(t).forTests())
}

// A commit is on 100 nodes, each with a connection of its own, within a second.
func TestAHundredNodesHaveACommitWithinASecond(t *testing.T) {
	storetest.Measure(t, newEngine(t).forTests(), fleetSize, 20, time.Second)
}

// fleetSize is how many nodes the test has.
var fleetSize = 100

// BenchmarkFleet measures from the beginning of a commit to the last byte on the last of 100 nodes.
func BenchmarkFleet(b *testing.B) {
	for _, x := range []struct {
		name  string
		sizes []int
	}{{"small", nil}, {"64KiB", []int{64 << 10}}, {"1MiB", []int{1 << 20}}, {"8MiB", []int{8 << 20}}} {
		b.Run(x.name, func(b *testing.B) {
			storetest.Measure(b, newEngine(b).forTests(), 100, max(b.N, 2), time.Minute, x.sizes...)
		})
	}
}
