package audit

import (
	"bytes"
	"fmt"
	"io"
	"time"
)

// output writes batches of lines. Only the backlog's goroutine uses it.
type output struct {
	failing bool // the last batch was not written
	torn    bool // the last line that was begun has no end
}

// retryFor is how long a batch is tried again. A pipe may be full for a moment (EAGAIN), and
// a disk may get room. A batch after one that was given up is tried once: the lines behind
// it must not wait as long again.
const retryFor = flushTimeout / 2

var newline = []byte{'\n'}

// write writes a batch of whole lines. It returns how many of them are lost, and why. An
// error after a part of the batch does not repeat that part.
func (o *output) write(w io.Writer, lines []byte) (lost uint64, err error) {
	count := bytes.Count(lines, newline)
	if o.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	end := time.Now().Add(retryFor)
	for pause := time.Millisecond; ; pause *= 2 {
		var n int
		n, err = writeTo(w, lines)
		if n > 0 {
			o.torn = lines[n-1] != '\n'
			lines = lines[n:]
		}
		if len(lines) == 0 {
			o.failing = false
			return 0, nil
		}
		if o.failing || time.Now().Add(pause).After(end) {
			o.failing = true
			return uint64(min(count, bytes.Count(lines, newline))), err
		}
		time.Sleep(pause)
	}
}

// writeTo writes at most all of b, and returns how many bytes were accepted. A panic of the
// writer would end the process: it becomes an error.
func writeTo(w io.Writer, b []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, fmt.Errorf("panic: %v", v)
		}
	}()
	n, err = w.Write(b)
	n = max(0, min(n, len(b)))
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}
