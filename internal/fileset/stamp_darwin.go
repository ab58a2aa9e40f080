package fileset

import "syscall"

// systemStamp returns the parts of a stamp that only the operating system knows.
func systemStamp(sys any) (stamp, bool) {
	s, ok := sys.(*syscall.Stat_t)
	if !ok {
		return stamp{}, false
	}
	return stamp{device: uint64(s.Dev), inode: s.Ino, changed: s.Ctimespec.Nano()}, true
}
