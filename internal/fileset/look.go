package fileset

import (
	"crypto/sha256"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/workers"
)

// wholeEvery is the time between two readings of all files. It bounds how long a change stays
// unseen on a file system whose stamps are wrong: one without change times, one that somebody
// writes over a network, or one whose clock was set back. Reading 125 MB takes 0.05 s, which is
// 0.1 % of a processor; SHA-256 would take three times as long.
const wholeEvery = time.Minute

// Changed reports whether any file now has other content than f has read.
func (f *Reader) Changed() bool {
	defer workers.Reserve()() // requests go first
	if f.torn {
		return true
	}
	now := f.now()
	whole := now.Sub(f.whole) >= wholeEvery
	for name, old := range f.Read {
		c := f.again(name, old, whole)
		if c.Digest != old.Digest {
			old.sure, old.lied = false, c.lied // Again and Next read it
			f.Read[name] = old
			return true
		}
		c.Data, c.Whole = old.Data, old.Whole
		f.Read[name] = c // by now its stamp may be sure
	}
	if whole {
		f.whole = now
	}
	return false
}

// Again reads the same names anew, without their data.
func (f *Reader) Again() Set {
	defer workers.Reserve()() // as in Changed
	out := Set{}
	for name, old := range f.Read {
		c := f.again(name, old, false)
		c.Data = nil
		out[name] = c
	}
	return out
}

// again returns the content that a file has now, without data. It reads the file unless its
// stamp shows that the content is old, or if whole is set.
func (f *Reader) again(name string, old Content, whole bool) Content {
	same := old.sure && f.hasStamp(name, old.stamp)
	if same && (!whole || old.stamp.digest != [sha256.Size]byte{} || f.scanQuick(name) == old.quick) {
		return old
	}
	c := f.scan(name)
	c.lied = same && c.Digest != old.Digest && c.stamp == old.stamp
	return c.suspect(old)
}

// hasStamp reports whether a file has a stamp.
func (f *Reader) hasStamp(name string, want stamp) bool {
	info, err := f.stat(name)
	if err != nil {
		return false
	}
	got, ok := stampOf(info)
	return ok && got == want
}
