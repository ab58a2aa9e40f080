package main

import (
	"context"
	"io"
	"os"
	"time"
)

// follower reads a file that grows, as tail -F does: at the end it waits for more. It goes
// on at the beginning when the file is truncated, and in the new file when the file is
// replaced. It ends with its context.
type follower struct {
	ctx  context.Context
	name string
	file *os.File
	at   int64 // offset in file
	torn bool  // the last byte that was read did not end a line
}

// followEvery is the time between two looks at a file.
const followEvery = 100 * time.Millisecond

func (f *follower) Read(p []byte) (int, error) {
	for f.ctx.Err() == nil {
		n, err := f.file.Read(p)
		if n > 0 {
			f.at += int64(n)
			f.torn = p[n-1] != '\n'
			return n, nil
		}
		if err != nil && err != io.EOF {
			return 0, err
		}
		switch changed, err := f.restart(); {
		case err != nil:
			return 0, err
		case changed && f.torn:
			f.torn = false
			p[0] = '\n' // ends the line that will not be completed
			return 1, nil
		case changed:
			continue
		}
		select {
		case <-f.ctx.Done():
		case <-time.After(followEvery):
		}
	}
	return 0, io.EOF
}

// restart goes to the beginning of the file if it was truncated, or opens the file that has
// replaced it. A replacement that is missing or empty is not used yet: a server writes into
// the old file until it opens the new one.
func (f *follower) restart() (changed bool, err error) {
	own, err := f.file.Stat()
	if err != nil {
		return false, err
	}
	if own.Size() < f.at {
		f.at, err = f.file.Seek(0, io.SeekStart)
		return true, err
	}
	named, err := os.Stat(f.name)
	if err != nil || os.SameFile(own, named) || named.Size() == 0 || own.Size() > f.at {
		return false, nil
	}
	next, err := os.Open(f.name)
	if err != nil {
		return false, nil // it may be replaced again
	}
	f.file.Close()
	f.file, f.at = next, 0
	return true, nil
}

func (f *follower) Close() error { return f.file.Close() }
