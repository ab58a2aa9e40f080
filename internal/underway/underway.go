// Package underway verifies the certificates of connections and answers that are under way,
// hijacked connections included: no further request would verify them.
//
// Loops that keep time call it, so a check is local and does not block. Where only an OCSP
// responder knows the result, one of a few workers queries it.
package underway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Grace is how long an answer that must end may take to be complete. It leaves room
// below the promised second.
const Grace = 750 * time.Millisecond

// Work is something under way. It must be comparable.
type Work interface {
	// Check verifies again. An error means that the work must end. Without wait it must
	// not block, and returns trustaccess.ErrUndecided where only a responder knows.
	Check(ctx context.Context, wait bool) error
	// End ends the work because of the error of Check, or nil where the program ends. It must
	// not block.
	End(why error)
}

const (
	workers  = 8                // fewer than the queries that package ocsp makes at once: handshakes and requests query too
	longest  = 10 * time.Second // for one query
	overtime = 2 * time.Minute  // for a responder, before a work ends because its state is unknown
)

// Checker checks works. Its zero value is ready to use. It is safe for concurrent use. It has
// no goroutine while no responder has to be queried.
type Checker struct {
	mu      sync.Mutex
	since   map[Work]time.Time // waiting for a worker, or with one
	waiting []Work             // first come, first served
	running int
}

// Check checks a work without waiting, and ends it if it must end. Where a responder has to
// be queried, a worker does so later, but only if query is set.
func (c *Checker) Check(w Work, query bool) {
	switch err := check(context.Background(), w, false); {
	case err == nil:
	case err != trustaccess.ErrUndecided:
		end(w, err)
	case query:
		c.later(w)
	}
}

// later hands a work to a worker. Fail closed: a work whose state has been unknown for too
// long ends.
func (c *Checker) later(w Work) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since, ok := c.since[w]; ok {
		if time.Since(since) > overtime {
			go end(w, errOvertime)
		}
		return
	}
	if c.since == nil {
		c.since = map[Work]time.Time{}
	}
	c.since[w] = time.Now()
	c.waiting = append(c.waiting, w)
	if c.running < workers {
		c.running++
		go c.run()
	}
}

// run is a worker. It returns when no work waits.
func (c *Checker) run() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.waiting = nil
			c.running--
			c.mu.Unlock()
			return
		}
		w := c.waiting[0]
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		err := check(ctx, w, true)
		cancel()
		if err != nil && check(context.Background(), w, false) != nil { // unless the verifier has changed meanwhile
			end(w, err)
		}
		c.mu.Lock()
		delete(c.since, w)
		c.mu.Unlock()
	}
}

var errOvertime = reason.Refuse(reason.RevocationUnknown, "no responder has answered for "+overtime.String())

var errPanic = reason.Refuse(reason.BadCertificate, "the check panicked")

// check calls Work.Check. A panic is an error.
func check(ctx context.Context, w Work, wait bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			logPanic(p)
			err = errPanic
		}
	}()
	return w.Check(ctx, wait)
}

func end(w Work, why error) {
	defer func() {
		if p := recover(); p != nil {
			logPanic(p)
		}
	}()
	w.End(why)
}

// logPanic writes to the program's default log: a panic is a defect of the program.
func logPanic(v any) {
	slog.Error("a check of what is under way panicked", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
}

// Abort ends the answer to a request of HTTP/2, and nothing else of its connection: the
// stream is reset, which ends the request's context, reads and writes. The error is that
// of a ResponseWriter that cannot do it. It must not be called once the handler has
// returned.
func Abort(w http.ResponseWriter) error {
	control := http.NewResponseController(w)
	past := time.Unix(1, 0)
	return errors.Join(control.SetReadDeadline(past), control.SetWriteDeadline(past))
}
