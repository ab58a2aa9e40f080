package fileset

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"time"
)

// Reader reads all files that one configuration names, each file once, and keeps content
// and digest: the watcher compares the digests. It is not for concurrent use.
type Reader struct {
	FS    fs.FS  // nil: the operating system's
	Mount *Mount // nil: there is none
	Read  Set    // by name
	// Retry is when the same content may load although it did not: a CRL begins to be
	// valid, a server answers again. Zero: never, only other content can help.
	Retry time.Time

	before Set              // what an earlier Reader read; nil: nothing
	all    bool             // every file is read, whatever its stamp is
	torn   bool             // the content of a file changed between its digest and its data
	loaded int64            // bytes of data that were read into memory
	whole  time.Time        // when all files were last read, whatever their stamps were
	now    func() time.Time // by which files are young
}

// RetryAt notes a time for Retry. The earliest counts.
func (f *Reader) RetryAt(at time.Time) {
	if f.Retry.IsZero() || at.Before(f.Retry) {
		f.Retry = at
	}
}

// New returns a Reader of a file system; nil is the operating system's.
func New(fsys fs.FS) *Reader {
	return &Reader{FS: fsys, Read: Set{}, now: time.Now, whole: time.Now()}
}

// Next returns a Reader of the same file system. It reads only what f has not read already, as
// far as stamps show, or every file if all is set; it takes files with the same digest into
// memory only if Get asks for them. f forgets the data of its files.
func (f *Reader) Next(all bool) *Reader {
	f.Read.Drop()
	next := &Reader{FS: f.FS, Mount: f.Mount, Read: Set{}, before: f.Read, all: all, now: f.now, whole: f.whole}
	if all {
		next.whole = f.now()
	}
	return next
}

// Loaded returns how many bytes Get has read into memory.
func (f *Reader) Loaded() int64 { return f.loaded }

// Beside resolves a name that is written in a file.
func (f *Reader) Beside(file, name string) string {
	if f.FS != nil {
		return path.Join(path.Dir(file), name)
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}

// Get returns a file's content. A Reader returns the same at every call.
func (f *Reader) Get(name string) ([]byte, error) {
	c := f.content(name, f.load)
	if c.Err == nil && c.Data == nil { // only its digest is known
		fresh := f.load(name)
		if fresh.Digest != c.Digest {
			f.torn = true // the digest may have been used: Changed reports it, and all is read again
		}
		fresh.Whole = c.Whole
		c = fresh.suspect(c)
		f.Read[name] = c
	}
	return c.Data, c.Err
}

// Digest returns the digest of a file's content, and the error of Get. It does not read a file
// that the Reader before this one has read, if its stamp shows that it has not changed since,
// and does not take a large file into memory.
func (f *Reader) Digest(name string) ([sha256.Size]byte, error) {
	c := f.content(name, f.loadSmall)
	return c.Digest, c.Err
}

// content returns what f has read of a file, and reads it at the first call.
func (f *Reader) content(name string, read func(name string) Content) Content {
	c, ok := f.Read[name]
	if !ok {
		if c, ok = f.unchanged(name); !ok {
			c = read(name)
		}
		c = c.suspect(f.before[name])
		f.Read[name] = c
	}
	return c
}

// suspect returns c, which is never sure again if an earlier content of the file was not.
func (c Content) suspect(earlier Content) Content {
	c.lied = c.lied || earlier.lied
	c.sure = c.sure && !c.lied
	return c
}

// unchanged returns what the Reader before f read of a file, if the file still has this content.
func (f *Reader) unchanged(name string) (Content, bool) {
	old, ok := f.before[name]
	if !ok || old.Err != nil || !f.hasStamp(name, old.stamp) {
		return Content{}, false // it has probably changed, and will be parsed
	}
	c := f.again(name, old, f.all)
	c.Data, c.Whole = nil, false
	return c, c.Digest == old.Digest && c.Err == nil
}

// Release forgets the data of a file that has been parsed. Get would read it again.
func (f *Reader) Release(name string) {
	if c, ok := f.Read[name]; ok {
		c.Data = nil
		f.Read[name] = c
	}
}

// Whole marks a file whose blocks are good together only.
func (f *Reader) Whole(name string) {
	if c, ok := f.Read[name]; ok {
		c.Whole = true
		f.Read[name] = c
	}
}

// Forget makes the next Get read a file anew.
func (f *Reader) Forget(name string) {
	delete(f.Read, name)
}

// List returns the files in a folder that end in one of these ways, such as ".crl", and whether the
// name is a folder at all. The list itself is watched, like the content of a file.
func (f *Reader) List(name string, ends ...string) ([]string, bool) {
	if _, err := f.Digest(name); !errors.Is(err, ErrNoFile) {
		return nil, false
	}
	entries, err := f.entries(name)
	if err != nil {
		return nil, false
	}
	var out []string
	for _, e := range entries {
		if hasEnd(e, ends) {
			out = append(out, f.Beside(name+"/-", e))
		}
	}
	return out, true
}
