package fileset

import (
	"crypto/sha256"
	"io/fs"
	"time"
)

// stamp identifies a state of a file without reading it. Programs can set the modification
// time and keep the size, but no program can set the change time: it shows also a file that
// was rewritten in place and given its old date. A file that was renamed over another has
// another inode.
type stamp struct {
	device, inode     uint64
	size              int64
	modified, changed int64 // in ns since 1970
	// digest is that of a file that never changes, such as one of a mount; the times mean
	// nothing then. Zero: it is not known without reading the file.
	digest [sha256.Size]byte
}

// granularity is an upper bound on the difference between two changes that may get the same
// times. Linux takes the time of its last tick, at most 10 ms ago; ext3 and HFS+ have whole
// seconds, FAT has steps of two.
const granularity = 3 * time.Second

// isSure reports whether a file that had this stamp when it was read, beginning at a time,
// cannot change without getting another stamp. It could if it changed just before: a second
// change within the granularity of its times would not show (git calls this racily clean). A
// change time in the future comes from a clock that was set, and is not sure either.
func (s stamp) isSure(at time.Time) bool {
	if s.digest != [sha256.Size]byte{} {
		return true
	}
	oldest, newest := at.Add(-granularity).UnixNano(), at.Add(granularity).UnixNano()
	return s.changed > 0 && s.changed < oldest && (s.modified < oldest || s.modified > newest)
}

// stampOf returns the stamp of a file. A file system without change times has none: its files
// are read at every look.
func stampOf(info fs.FileInfo) (stamp, bool) {
	if known, ok := info.Sys().(interface{ SHA256() [sha256.Size]byte }); ok {
		return stamp{size: info.Size(), digest: known.SHA256()}, true
	}
	s, ok := systemStamp(info.Sys())
	s.size, s.modified = info.Size(), info.ModTime().UnixNano()
	return s, ok
}
