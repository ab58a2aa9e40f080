//go:build unix

package replacefile

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives f the owner and group of the file that it replaces.
func keepOwner(f *os.File, replaced fs.FileInfo) error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	have, haveOK := own.Sys().(*syscall.Stat_t)
	want, wantOK := replaced.Sys().(*syscall.Stat_t)
	if !haveOK || !wantOK || have.Uid == want.Uid && have.Gid == want.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
