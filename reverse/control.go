package reverse

import (
	"bufio"
	"errors"
	"io"
	"sync"
)

// speaker writes the words of the control exchange.
type speaker struct {
	mu     sync.Mutex
	w      io.Writer
	flush  func() error
	silent bool
}

// end lets nothing more be said: the writer is not ours any more.
func (s *speaker) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

func (s *speaker) say(word string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent {
		return io.ErrClosedPipe
	}
	if _, err := io.WriteString(s.w, word+"\n"); err != nil {
		return err
	}
	if s.flush != nil {
		return s.flush()
	}
	return nil
}

var errWord = errors.New("reverse: the other side said something unknown")

// longestWord bounds a line of the control exchange.
const longestWord = 16

// listen calls heard with each word until the other side says no more. A word that is
// not expected ends it: heard returns false.
func listen(r io.Reader, heard func(word string) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, longestWord), longestWord)
	for lines.Scan() {
		if !heard(lines.Text()) {
			return errWord
		}
	}
	return lines.Err()
}
