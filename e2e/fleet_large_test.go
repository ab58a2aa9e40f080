package e2e

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/source"
)

// Of a change, a node with 50,000 mappings fetches and parses what has changed only.
func TestALargeNodeParsesWhatHasChanged(t *testing.T) {
	t.Parallel()
	store := source.Folder(t.TempDir())
	storetest.LargeNode(t, storetest.Engine{Open: func() source.Store { return store }})
}
