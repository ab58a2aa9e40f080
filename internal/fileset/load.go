package fileset

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/mtlsguard/mtlsguard/internal/workers"
)

// maxFile bounds what is read from one file.
const maxFile = 256 << 20 // a million mappings in YAML are 100 MiB

// smallFile is the size up to which a file is read into memory for its digest: otherwise it
// would be read twice at the start. Large ones are read twice: a million mappings take 115 MB,
// and hashing them 0.1 s.
const smallFile = 64 << 10

// load reads a file with its data.
func (f *Reader) load(name string) Content {
	return f.read(name, func(file io.Reader, size int64) (Content, error) {
		data := bytes.NewBuffer(make([]byte, 0, size))
		c, err := summarize(io.TeeReader(file, data))
		c.Data = data.Bytes()
		f.loaded += int64(data.Len())
		return c, err
	})
}

// loadSmall is load for small files, and scan for others.
func (f *Reader) loadSmall(name string) Content {
	if c, ok := f.known(name); ok {
		return c
	}
	if info, err := f.stat(name); err == nil && info.Size() > smallFile {
		return f.scan(name)
	}
	return f.load(name)
}

// buffers holds the buffers of summarize and scanQuick.
var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// scan reads a file without keeping its data.
func (f *Reader) scan(name string) Content {
	if c, ok := f.known(name); ok {
		return c
	}
	return f.read(name, func(file io.Reader, _ int64) (Content, error) { return summarize(file) })
}

// summarize reads a file in parts, and returns its content without data. SHA-256 of 115 MB in one call
// would hold up every request for 0.1 s: the hash cannot be interrupted, and the collector stops all
// goroutines until it ends.
func summarize(file io.Reader) (Content, error) {
	buffer := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buffer)
	s := newSummary()
	_, err := io.CopyBuffer(yielding{s}, file, buffer[:])
	return s.content(), err
}

// scanQuick returns the quick hash of a file; without a meaning if it cannot be read.
func (f *Reader) scanQuick(name string) uint64 {
	file, _, err := f.open(name)
	if err != nil {
		return 0
	}
	defer file.Close()
	buffer := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buffer)
	var quick maphash.Hash
	quick.SetSeed(seed)
	_, _ = io.CopyBuffer(yielding{&quick}, io.LimitReader(file, maxFile+1), buffer[:]) // half a file is another content
	return quick.Sum64()
}

// yielding lets requests go first after each part.
type yielding struct{ io.Writer }

func (y yielding) Write(p []byte) (int, error) {
	workers.Yield()
	return y.Writer.Write(p)
}

// read opens a file and makes its content from it.
func (f *Reader) read(name string, content func(file io.Reader, size int64) (Content, error)) Content {
	start := f.now()
	file, size, err := f.open(name)
	if errors.Is(err, ErrNoFile) {
		if entries, err := f.entries(name); err == nil {
			return Folder(listDigest(entries), fmt.Errorf("%s %w", name, ErrNoFile))
		}
	}
	if err != nil {
		return Failed(err)
	}
	defer file.Close()
	c, err := content(io.LimitReader(file, maxFile+1), size)
	switch {
	case err != nil:
		return Failed(short(name, err))
	case c.size > maxFile:
		return Failed(tooLarge(name))
	}
	// The stamp after reading: a file that changed meanwhile has one that is not sure.
	if info, err := file.Stat(); err == nil {
		var ok bool
		c.stamp, ok = stampOf(info)
		c.sure = ok && c.stamp.isSure(start) && c.stamp.size == int64(c.size)
	}
	return c
}

// open opens a regular file, and returns its size.
func (f *Reader) open(name string) (fs.File, int64, error) {
	info, err := f.stat(name) // before opening: opening a pipe would wait for its writer
	switch {
	case err != nil:
		return nil, 0, short(name, err)
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf("%s %w", name, ErrNoFile)
	case info.Size() > maxFile: // not read at all: it would be, at every look
		return nil, 0, tooLarge(name)
	}
	file, err := f.openFile(name)
	if err != nil {
		return nil, 0, short(name, err)
	}
	return file, max(info.Size(), 0), nil
}

// fileEnds are how the names of files in folders end, of CRLs and of mappings.
var fileEnds = []string{".crl", ".pem", ".der", ".jsonl"}

// entries are the names of the files in a folder. Hidden ones are none: mounted
// volumes have such, and programs that write a file before renaming it.
func (f *Reader) entries(name string) ([]string, error) {
	all, err := f.readDir(name)
	var out []string
	for _, e := range all {
		if hasEnd(e.Name(), fileEnds) && e.Name()[0] != '.' {
			out = append(out, e.Name())
		}
	}
	return out, err
}

func hasEnd(name string, ends []string) bool { return slices.Contains(ends, path.Ext(name)) }

func listDigest(entries []string) [sha256.Size]byte {
	h := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(h, "%q\n", e)
	}
	var out [sha256.Size]byte
	h.Sum(out[:0])
	return out
}

func tooLarge(name string) error {
	return fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
}

func short(name string, err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	return fmt.Errorf("%s cannot be read: %w", name, err)
}
