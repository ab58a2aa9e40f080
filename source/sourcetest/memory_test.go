package sourcetest_test

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

func TestMemoryIsAStore(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(*testing.T) source.Store { return sourcetest.NewMemory(sourcetest.Fleet) })
}
