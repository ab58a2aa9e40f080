package wire

import (
	"bufio"
	"errors"
	"io"
	"sync"
)

// ControlWriter sends control messages. It is safe for concurrent use.
type ControlWriter struct {
	mu     sync.Mutex
	w      io.Writer
	flush  func() error
	closed bool
}

// NewControlWriter returns a ControlWriter that writes to w and, where flush is not nil,
// calls it after each message.
func NewControlWriter(w io.Writer, flush func() error) *ControlWriter {
	return &ControlWriter{w: w, flush: flush}
}

// Close makes every later Send fail. It does not close the writer below.
func (c *ControlWriter) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// Send sends one message.
func (c *ControlWriter) Send(message string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return io.ErrClosedPipe
	}
	if _, err := io.WriteString(c.w, message+"\n"); err != nil {
		return err
	}
	if c.flush != nil {
		return c.flush()
	}
	return nil
}

var errMessage = errors.New("reverse: the other end sent an unknown control message")

// maxMessage bounds a line of the control stream, in bytes.
const maxMessage = 16

// ReadControl calls handle with each control message until the stream ends. It returns
// an error as soon as handle returns false, which rejects a message.
func ReadControl(r io.Reader, handle func(message string) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, maxMessage), maxMessage)
	for lines.Scan() {
		if !handle(lines.Text()) {
			return errMessage
		}
	}
	return lines.Err()
}
