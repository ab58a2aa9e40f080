package ports

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// epoch is the zero of a port's clock. Only differences count, so that a change of
// the machine's date moves no deadline.
var epoch = time.Now()

// nearDeadline is how far ahead a deadline is set on the connection below.
const nearDeadline = 3 * sweepEvery

// deadline is the time when reading, or writing, ends. It is set on the connection below only
// while a call waits there, and only when it is near: net/http sets eight deadlines
// for every request, most of them minutes ahead, and removes them microseconds later. Eight
// deadlines of a TCP connection cost 2.5 µs, eight of these 0.3 µs.
type deadline struct {
	progress               // of the calls under way
	requested atomic.Int64 // by net/http or a handler, since epoch; 0 means never
	limit     atomic.Int64 // by this package; the earlier one counts
	applied   atomic.Int64 // on the connection below; changed under mu
	mu        sync.Mutex
}

// errDeadline returns the error of a call whose deadline has passed.
func errDeadline(op string) error {
	return &net.OpError{Op: op, Net: "tcp", Err: os.ErrDeadlineExceeded}
}

// SetReadDeadline is that of net.Conn.
func (r *rawConn) SetReadDeadline(t time.Time) error {
	return r.change(&r.reading, &r.reading.requested, t)
}

// SetWriteDeadline is that of net.Conn.
func (r *rawConn) SetWriteDeadline(t time.Time) error {
	return r.change(&r.writing, &r.writing.requested, t)
}

// change sets one of the two times of a deadline. net/http removes deadlines that are not set.
func (r *rawConn) change(d *deadline, which *atomic.Int64, t time.Time) error {
	since := sinceEpoch(t)
	if which.Load() == since {
		return nil
	}
	which.Store(since)
	return r.deadlineChanged(d)
}

// SetDeadline is that of net.Conn. It takes effect below at once.
func (r *rawConn) SetDeadline(t time.Time) error {
	for _, d := range []*deadline{&r.reading, &r.writing} {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.requested.Store(sinceEpoch(t))
		d.applied.Store(sinceEpoch(t))
	}
	return r.Conn.SetDeadline(t)
}

// setReadLimit sets a second deadline for reading, beside that of net/http and the
// handler. The zero time removes it.
func (r *rawConn) setReadLimit(t time.Time) {
	_ = r.change(&r.reading, &r.reading.limit, t) // a connection that is closed needs no deadline
}

// deadlineChanged applies a deadline that has changed to a call under way. A call that begins
// counts itself before it looks at the deadline: either it sees the change, or the
// change sees it.
func (r *rawConn) deadlineChanged(d *deadline) error {
	if !d.waits() {
		return nil
	}
	return r.applyDeadline(d)
}

// prepare sets the deadline of one call of the connection below, which has counted itself. An
// error is that of the call.
func (r *rawConn) prepare(d *deadline, op string) error {
	switch requested := d.requested.Load(); {
	case requested < 0:
		return errDeadline(op)
	case requested != d.applied.Load() || d.limit.Load() != 0:
		return r.applyDeadline(d)
	}
	return nil
}

// applyDeadline sets the effective deadline on the connection below, or removes one that does
// not hold any more.
func (r *rawConn) applyDeadline(d *deadline) error {
	if d.effective(r.conn.port) == d.applied.Load() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		due := d.effective(r.conn.port)
		if due == d.applied.Load() {
			return nil
		}
		d.applied.Store(due) // before the next look: a change from here on sees it, and waits for mu
		set := r.Conn.SetReadDeadline
		if d == &r.writing {
			set = r.Conn.SetWriteDeadline
		}
		if err := set(atEpoch(due)); err != nil {
			return err
		}
	}
}

// applyDeadlines sets the deadlines that have come near. The sweep calls it.
func (r *rawConn) applyDeadlines() {
	_ = r.applyDeadline(&r.reading) // a connection that is closed has no deadline any more
	_ = r.applyDeadline(&r.writing)
}

// effective returns the deadline that the connection below must have now, since epoch; 0: none.
func (d *deadline) effective(p *Port) int64 {
	end := d.requested.Load()
	if own := d.limit.Load(); own != 0 && (end == 0 || own < end) {
		end = own
	}
	if clock := p.sweepClock.Load(); clock >= 0 && end-clock > int64(nearDeadline) {
		return 0 // the sweep sets it in time
	}
	return end
}

// isOver reports whether the deadline that net/http or a handler has set has passed.
func (d *deadline) isOver() bool {
	requested := d.requested.Load()
	return requested != 0 && requested <= int64(time.Since(epoch))
}

// sinceEpoch returns 0 for the zero time alone, and -1 for every time before epoch.
func sinceEpoch(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	if d := int64(t.Sub(epoch)); d > 0 {
		return d
	}
	return -1
}

func atEpoch(since int64) time.Time {
	if since == 0 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(since))
}
