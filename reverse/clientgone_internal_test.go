package reverse

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
)

// interruptible is a body that waits for its client. Its Read ends at a read deadline, and then the context
// of the request ends, as net/http has it for HTTP/1.
type interruptible struct {
	*httptest.ResponseRecorder
	began  chan struct{} // a Read has begun
	passed chan struct{} // the deadline
	cancel context.CancelFunc
}

func (b *interruptible) Read([]byte) (int, error) {
	close(b.began)
	<-b.passed
	b.cancel()
	return 0, errors.New("i/o timeout")
}

func (b *interruptible) Close() error { return nil }

// A tunnel that breaks interrupts the body of its request, and net/http ends the context of the request.
// The client is still there, and gets an answer. A client that has gone gets none. Covers K13.
func TestClientOfAnInterruptedBodyIsAnswered(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]bool{"the tunnel broke": false, "the client has gone": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			w := &interruptible{httptest.NewRecorder(), make(chan struct{}), make(chan struct{}), cancel}
			x := &exchange{w: w, body: wire.NewBody(w, deadlineWriter{w})}
			r := httptest.NewRequestWithContext(context.WithValue(ctx, exchangeKey{}, x), "POST", "/", nil)
			if gone {
				close(w.passed)
				_, _ = io.ReadAll(x.body)
			} else {
				go func() { _, _ = io.ReadAll(x.body) }()
				<-w.began
				x.body.Close()
				<-r.Context().Done()
			}
			aborted := func() (p any) {
				defer func() { p = recover() }()
				(&Gateway{}).answerError(w, r, errors.New("the tunnel is closed"))
				return nil
			}()
			if gone != (aborted == http.ErrAbortHandler) || !gone && w.Code != http.StatusBadGateway {
				t.Errorf("aborted with %v, answered %d", aborted, w.Code)
			}
		})
	}
}

// deadlineWriter ends the Read of its body when the read deadline is set.
type deadlineWriter struct{ *interruptible }

func (w deadlineWriter) SetReadDeadline(time.Time) error {
	select {
	case <-w.passed:
	default:
		close(w.passed)
	}
	return nil
}
