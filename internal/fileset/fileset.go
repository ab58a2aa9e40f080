// Package fileset reads files, and compares what was read at different times, by content. It
// reads a file again only if its device, inode, size, modification time or change time differ,
// if it changed too recently for these to show another change, and once a minute in any case:
// the times of some file systems are worth nothing. It also detects when files that are being
// written have stopped changing.
package fileset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"time"
)

// Content is what was read of one file. Data may be dropped; the rest stays.
type Content struct {
	Data   []byte
	Digest [sha256.Size]byte
	Err    error // why there is no data
	// Whole marks a file whose blocks are valid together only: a certificate without its
	// intermediates is valid by itself, and peers refuse it.
	Whole bool

	end  end
	text bool // its end cannot be seen in it, unlike PEM and DER
	size int

	stamp stamp // when it was read
	quick uint64
	sure  bool // other content would have another stamp
	lied  bool // it once had other content and the same stamp: it is read at every look
}

// Empty reports whether the file could be read and holds nothing.
func (c Content) Empty() bool { return c.Err == nil && c.end == noEnd }

// ErrNoFile is for folders, pipes and devices.
var ErrNoFile = errors.New("is not a file")

// Of is the content of a file that could be read.
func Of(data []byte) Content {
	s := newSummary()
	s.Write(data)
	c := s.content()
	c.Data = data
	return c
}

// Failed is the content of a file that could not be read. The text of the error
// counts as content: a file that appears is a change.
func Failed(err error) Content {
	return Content{Err: err, Digest: sha256.Sum256([]byte("error: " + err.Error())), text: !errors.Is(err, ErrNoFile)}
}

// Folder is the content of a folder: a digest of the names in it.
func Folder(digest [sha256.Size]byte, err error) Content {
	return Content{Digest: digest, Err: err, end: lineEnd}
}

// end is how a file ends.
type end int

const (
	noEnd   end = iota // it is empty
	openEnd            // in the middle of a line, as far as the content shows
	lineEnd
)

// IsPEM and IsDER recognise formats that mark their end: a file that was cut off is neither.
func IsPEM(data []byte) bool { return bytes.HasPrefix(data, pemBegin) }

// IsDER is described at IsPEM.
func IsDER(data []byte) bool { return len(data) > 1 && data[0] == 0x30 && data[1] > 0x80 }

// Set is one reading of several files, by name.
type Set map[string]Content

// Same reports whether two readings found the same files with the same content.
func (s Set) Same(other Set) bool { return len(s) == len(other) && s.Agrees(other) }

// Agrees reports whether everything in s is what other found.
func (s Set) Agrees(other Set) bool {
	for name, c := range s {
		if o, ok := other[name]; !ok || o.Digest != c.Digest {
			return false
		}
	}
	return true
}

// Drop forgets the content and keeps what is compared.
func (s Set) Drop() {
	for name, c := range s {
		c.Data = nil
		s[name] = c
	}
}

// cut reports whether a file has lost the end of its last line since old was read: it
// may be in the middle of being written.
func (s Set) cut(old Set) bool {
	for name, c := range s {
		if c.end == openEnd && old[name].end == lineEnd {
			return true
		}
	}
	return false
}

// changedText reports whether a file that differs from old is a text.
func (s Set) changedText(old Set) bool {
	for name, c := range s {
		if c.Digest != old[name].Digest && c.text {
			return true
		}
	}
	return false
}

// How long files must stay as they are before a change is taken: a policy that is
// half written may be a whole one with the denying lines missing. Half a PEM block
// is none, so revoking need not wait for that; half a chain of certificates is one.
const (
	pauseText = 500 * time.Millisecond
	pauseCut  = 1500 * time.Millisecond // a text whose last line had an end and has none now, or a shorter chain
	pausePEM  = 100 * time.Millisecond
)

// Pause is how long what differs from old must stay as it is.
func (s Set) Pause(old Set) time.Duration {
	pause := pausePEM
	switch {
	case s.cut(old):
		return pauseCut
	case s.changedText(old):
		pause = pauseText
	}
	for name, c := range s {
		before := old[name]
		switch {
		case !c.Whole && !before.Whole || c.Digest == before.Digest:
		case c.size < before.size:
			return pauseCut
		default:
			pause = pauseText
		}
	}
	return pause
}

const rounds = 20

// Settled reads until two readings in a row are the same, and returns the last. pause
// is the time between them. It gives up after 20 readings, and when ctx ends, with
// nil.
func Settled(ctx context.Context, read func() Set, pause func(Set) time.Duration) Set {
	for last, n := read(), 0; n < rounds; n++ {
		if !Sleep(ctx, pause(last)) {
			return nil
		}
		next := read()
		if next.Same(last) {
			return next
		}
		last = next
	}
	return nil
}

// Sleep waits, and reports whether ctx is still alive.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
