package follow_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// A node keeps no files of generations that it has refused: an editor that commits one after another would fill
// its disk. Generations in effect, or kept, stay, and so do the files that they share with a refused one.
// Covers S5.
func TestRefusedGenerationsLeaveNoFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, time.Minute, func(s source.Store) source.Source { return s })
		second := n.commit()
		n.waitFor(second)
		for number := second + 1; number < second+6; number++ {
			n.mu.Lock()
			n.refuse[number] = time.Time{}
			n.mu.Unlock()
			n.commit()
			testkit.Eventually(t, fmt.Sprintf("generation %d is refused", number), func() bool {
				refused := n.State().Refused
				return refused != nil && refused.Manifest.Number == number
			})
		}
		n.stop()
		blobs, err := os.ReadDir(filepath.Join(n.keep, "blobs"))
		if err != nil {
			t.Fatal(err)
		}
		if len(blobs) != 2 {
			t.Errorf("%d files are kept, want those of generations 1 and %d", len(blobs), second)
		}
		all, err := source.OpenKeep(n.keep).Generations()
		if err != nil || len(all) != 2 {
			t.Fatalf("%d generations are kept, %v", len(all), err)
		}
		for _, g := range all {
			if _, err := g.Fetch(t.Context()); err != nil {
				t.Errorf("generation %d: %v", g.Manifest.Number, err)
			}
		}
	})
}
