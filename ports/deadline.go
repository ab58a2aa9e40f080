package ports

import (
	"sync"
	"sync/atomic"
	"time"
)

// epoch is where a port's clock begins. Only differences count, so that a change of
// the machine's date moves no deadline.
var epoch = time.Now()

// near is how far ahead a deadline for reading is set in earnest. What is further
// away waits for the sweep: net/http sets four for every request, minutes ahead, and
// takes them back microseconds later.
const near = 3 * sweepEvery

// readDeadline is when reading ends, and whether the connection below knows.
type readDeadline struct {
	wish  atomic.Int64 // since epoch; 0: never
	armed atomic.Bool  // the connection below has a deadline
	mu    sync.Mutex   // held by who tells it
}

// SetReadDeadline is that of net.Conn.
func (r *rawConn) SetReadDeadline(t time.Time) error {
	d := &r.reading
	wish := sinceEpoch(t)
	d.wish.Store(wish)
	// Whoever stops the sweep does so before its last look at wish, and whoever arms
	// says so before its last look: one of us sees the other.
	clock := r.conn.port.clock.Load()
	if clock >= 0 && !d.armed.Load() && (wish == 0 || wish-clock > int64(near)) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed.Store(wish != 0)
	return r.Conn.SetReadDeadline(t)
}

// arm sets in earnest what is due within near of now.
func (r *rawConn) arm(now int64) {
	d := &r.reading
	wish := d.wish.Load()
	if wish == 0 || wish-now > int64(near) || d.armed.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.armed.Swap(true) {
		return
	}
	r.Conn.SetReadDeadline(epoch.Add(time.Duration(wish)))
	if d.wish.Load() != wish {
		// It was changed meanwhile. Whoever did waits for mu, or is far ahead.
		r.Conn.SetReadDeadline(time.Time{})
		d.armed.Store(false)
	}
}

// SetDeadline is that of net.Conn.
func (r *rawConn) SetDeadline(t time.Time) error {
	d := &r.reading
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wish.Store(sinceEpoch(t))
	d.armed.Store(!t.IsZero())
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

// sinceEpoch is 0 for the zero time alone, and negative for what is past long ago.
func sinceEpoch(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	if d := int64(t.Sub(epoch)); d > 0 {
		return d
	}
	return -1
}
