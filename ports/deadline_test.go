package ports

import (
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a connection that records the deadlines that are set on it.
type recorder struct {
	net.Conn
	reading, writing []time.Time
}

func (c *recorder) SetReadDeadline(t time.Time) error  { c.reading = append(c.reading, t); return nil }
func (c *recorder) SetWriteDeadline(t time.Time) error { c.writing = append(c.writing, t); return nil }
func (c *recorder) SetDeadline(t time.Time) error      { c.reading = append(c.reading, t); return nil }
func (c *recorder) Write(b []byte) (int, error)        { return len(b), nil }

func tolerant(clock int64) (*rawConn, *recorder) {
	c, p := &recorder{}, &Port{}
	p.sweepClock.Store(clock)
	return &rawConn{Conn: c, conn: &Conn{port: p}, idleLimit: time.Minute}, c
}

// A deadline is set on the connection only while a Read waits and when it is near; one that
// was removed before is never set.
// Covers H1.
func TestReadDeadlineIsSetOnTheConnectionOnlyWhenNear(t *testing.T) {
	t.Parallel()
	never := time.Time{}
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	const now = time.Hour
	long := time.Unix(1, 0)
	type step struct {
		set   *time.Time
		read  bool          // begin to read
		clock time.Duration // a sweep, at this time; -1 is the last one
	}
	set := func(t time.Time) step { return step{set: &t} }
	read, sweep := step{read: true}, func(d time.Duration) step { return step{clock: d} }
	for name, row := range map[string]struct {
		steps []step
		want  []time.Time
	}{
		"no Read":                 {[]step{set(at(now + time.Second)), set(long), set(never)}, nil},
		"far":                     {[]step{set(at(now + time.Minute)), read}, nil},
		"far, then near":          {[]step{set(at(now + time.Minute)), read, sweep(now + time.Minute - nearDeadline)}, []time.Time{at(now + time.Minute)}},
		"far, not near yet":       {[]step{set(at(now + time.Minute)), read, sweep(now + time.Minute - nearDeadline - 1)}, nil},
		"set once":                {[]step{set(at(now + 4*time.Second)), read, sweep(now + 2*time.Second), sweep(now + 3*time.Second)}, []time.Time{at(now + 4*time.Second)}},
		"near when reading began": {[]step{set(at(now + nearDeadline)), read}, []time.Time{at(now + nearDeadline)}},
		"near while reading":      {[]step{read, set(at(now + nearDeadline))}, []time.Time{at(now + nearDeadline)}},
		"set, then removed":       {[]step{read, set(at(now + time.Second)), set(never)}, []time.Time{at(now + time.Second), never}},
		"set, then far":           {[]step{read, set(at(now + time.Second)), set(at(now + time.Hour))}, []time.Time{at(now + time.Second), never}},
		"past while reading":      {[]step{read, set(long), set(never)}, []time.Time{at(-1), never}},
		"out of range":            {[]step{read, set(time.Unix(-1<<60, 0))}, []time.Time{at(-1)}},
		"the sweep ends":          {[]step{set(at(now + time.Hour)), read, sweep(-1)}, []time.Time{at(now + time.Hour)}},
		"no sweeps":               {[]step{sweep(-1), set(at(now + time.Hour)), read}, []time.Time{at(now + time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			raw, c := tolerant(int64(now))
			for _, s := range row.steps {
				switch {
				case s.read:
					raw.reading.begin()
					if err := raw.applyDeadline(&raw.reading); err != nil {
						t.Fatal(err)
					}
				case s.set != nil:
					if err := raw.SetReadDeadline(*s.set); err != nil {
						t.Fatal(err)
					}
				default:
					raw.conn.port.sweepClock.Store(int64(s.clock))
					if err := raw.applyDeadline(&raw.reading); err != nil {
						t.Fatal(err)
					}
				}
			}
			if !slices.EqualFunc(c.reading, row.want, time.Time.Equal) {
				t.Errorf("%v were set on the connection, want %v", c.reading, row.want)
			}
		})
	}
}

// A deadline that passed long ago ends a Read that begins and one that is under way. A
// deadline that was removed ends none.
// Covers H1.
func TestPastDeadlineEndsARead(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer b.Close()
	p := &Port{}
	p.sweepClock.Store(int64(time.Since(epoch)))
	raw := &rawConn{Conn: a, conn: &Conn{port: p}}
	for range 100 {
		under := make(chan error, 1)
		go func() {
			_, err := raw.Read(make([]byte, 1))
			under <- err
		}()
		raw.SetReadDeadline(time.Unix(1, 0)) // before it reads, or while it does
		if err := <-under; !os.IsTimeout(err) {
			t.Fatalf("reading ended with %v", err)
		}
		raw.SetReadDeadline(time.Time{})
		go b.Write([]byte("x"))
		if _, err := raw.Read(make([]byte, 1)); err != nil {
			t.Fatalf("after the deadline was removed: %v", err)
		}
	}
}

// Covers H15. A deadline for writing is set on the connection only when it is near, so
// that the one that net/http sets for every request costs nothing.
func TestDeadlinesForWritingAreSetWhenNear(t *testing.T) {
	t.Parallel()
	raw, c := tolerant(int64(time.Hour))
	at := func(d time.Duration) time.Time { return epoch.Add(time.Hour + d) }
	for range 3 {
		raw.SetWriteDeadline(at(time.Minute))
		raw.Write(nil)
		raw.SetWriteDeadline(time.Time{})
		raw.Write(nil)
	}
	if len(c.writing) != 0 {
		t.Errorf("three requests set %v on the connection, want nothing", c.writing)
	}
	raw.SetWriteDeadline(at(time.Second))
	raw.Write(nil)
	raw.SetWriteDeadline(time.Time{})
	raw.Write(nil)
	if want := []time.Time{at(time.Second), {}}; !slices.EqualFunc(c.writing, want, time.Time.Equal) {
		t.Errorf("a handler's own deadline and its end set %v on the connection, want %v", c.writing, want)
	}
}

// A deadline that only the sweep has set on the connection ends a Read that began long before.
// Covers H1.
func TestSweepEndsAReadAtItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(epoch) + time.Hour) // the fake clock begins in 2000
		a, b := net.Pipe()
		defer b.Close()
		p := &Port{}
		p.sweepClock.Store(int64(time.Since(epoch)))
		raw := &rawConn{Conn: a, conn: &Conn{port: p}}
		end := time.Now().Add(nearDeadline + time.Second)
		raw.SetReadDeadline(end)
		ended := make(chan time.Time, 1)
		go func() {
			if _, err := io.ReadFull(raw, make([]byte, 1)); !os.IsTimeout(err) {
				t.Errorf("reading ended with %v", err)
			}
			ended <- time.Now()
		}()
		for range 2 * nearDeadline / sweepEvery {
			time.Sleep(sweepEvery)
			p.sweepClock.Store(int64(time.Since(epoch)))
			raw.applyDeadline(&raw.reading)
		}
		if at := <-ended; !at.Equal(end) {
			t.Errorf("reading ended at %v, want %v", at, end)
		}
	})
}
