package admin

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// deadlineRecorder keeps the deadline that is in effect, and the one of the last flush.
type deadlineRecorder struct {
	*httptest.ResponseRecorder
	now, flushed time.Time
}

func (r *deadlineRecorder) SetWriteDeadline(t time.Time) error { r.now = t; return nil }
func (r *deadlineRecorder) FlushError() error                  { r.flushed = r.now; return nil }

// An event has a deadline, and a stream that waits for the next event has none: HTTP/2 would reset
// a stream that is silent for longer.
func TestDeadlineEndsWithTheEvent(t *testing.T) {
	t.Parallel()
	w := &deadlineRecorder{ResponseRecorder: httptest.NewRecorder()}
	s := &stream{call: &call{w: w}, control: http.NewResponseController(w)}
	if !s.send("status", []byte("{}")) || w.Body.String() != "id: 0\nevent: status\ndata: {}\n\n" {
		t.Errorf("sent %q", w.Body)
	}
	if w.flushed.IsZero() {
		t.Error("the event was written without a deadline")
	}
	if !w.now.IsZero() {
		t.Errorf("a silent stream ends at %s", w.now)
	}
}
