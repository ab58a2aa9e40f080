package source_test

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

func TestFolderIsAStore(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, func(t *testing.T) source.Store { return source.Folder(t.TempDir()) })
}
