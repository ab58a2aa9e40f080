package mtlsguard

import (
	"runtime/debug"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
)

// largeLoad is the size of parsed files, in bytes, after which memory is returned.
const largeLoad = 4 << 20

// returnMemory returns what was needed to parse large files to the operating system, in the
// background. Otherwise it stays resident until the collector next runs, which may be minutes
// later, and most of it after that.
func returnMemory(f *fileset.Reader) {
	if f.Loaded() >= largeLoad {
		go debug.FreeOSMemory()
	}
}
