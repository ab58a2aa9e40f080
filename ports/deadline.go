package ports

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// epoch is where a port's clock begins. Only differences count, so that a change of
// the machine's date moves no deadline.
var epoch = time.Now()

// near is how far ahead a deadline for reading is told to the connection below.
const near = 3 * sweepEvery

// readDeadline is when reading ends. The connection below is told only while
// somebody reads, and only what is near: net/http sets six deadlines for every
// request, most of them minutes ahead, and takes them back microseconds later.
type readDeadline struct {
	wish    atomic.Int64 // since epoch; 0: never
	told    atomic.Int64 // what the connection below knows; changed under mu
	readers atomic.Int32 // in the connection's Read
	mu      sync.Mutex
}

// errPast is what a Read answers whose deadline has long passed.
var errPast error = &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}

// SetReadDeadline is that of net.Conn.
func (r *rawConn) SetReadDeadline(t time.Time) error {
	d := &r.reading
	d.wish.Store(sinceEpoch(t))
	// Whoever begins to read says so before it looks at wish: it sees ours, or we see
	// it. So with whoever stops the sweep.
	if d.readers.Load() == 0 {
		return nil
	}
	return r.settle()
}

// readInTime is Read with its deadline.
func (r *rawConn) readInTime(b []byte) (int, error) {
	d := &r.reading
	d.readers.Add(1)
	defer d.readers.Add(-1)
	switch wish := d.wish.Load(); {
	case wish < 0:
		return 0, errPast
	case wish != d.told.Load():
		if err := r.settle(); err != nil {
			return 0, err
		}
	}
	return r.Conn.Read(b)
}

// settle tells the connection below what it has to know: a deadline that is near, or
// that there is none any more.
func (r *rawConn) settle() error {
	d := &r.reading
	if d.due(r.conn.port) == d.told.Load() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		due := d.due(r.conn.port)
		if due == d.told.Load() {
			return nil
		}
		d.told.Store(due) // before looking again: who changes the wish from here on sees it, and waits for mu
		if err := r.Conn.SetReadDeadline(atEpoch(due)); err != nil {
			return err
		}
	}
}

// due is the deadline that the connection below has to know now.
func (d *readDeadline) due(p *Port) int64 {
	wish, clock := d.wish.Load(), p.clock.Load()
	if clock >= 0 && wish-clock > int64(near) {
		return 0 // the sweep tells it in time
	}
	return wish
}

// SetDeadline is that of net.Conn.
func (r *rawConn) SetDeadline(t time.Time) error {
	d := &r.reading
	d.mu.Lock()
	defer d.mu.Unlock()
	wish := sinceEpoch(t)
	d.wish.Store(wish)
	d.told.Store(wish)
	r.watched.Store(!t.IsZero())
	r.armed.Store(0)
	return r.Conn.SetDeadline(t)
}

// SetWriteDeadline is that of net.Conn.
func (r *rawConn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() && !r.watched.Load() {
		return nil // net/http takes back before every request what nobody has set; ours stays
	}
	r.watched.Store(!t.IsZero())
	r.armed.Store(0)
	return r.Conn.SetWriteDeadline(t)
}

// sinceEpoch is 0 for the zero time alone, and -1 for all that is past long ago.
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
