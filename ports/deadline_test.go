package ports

import (
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

// told is a connection that remembers the deadlines that it was told.
type told struct {
	net.Conn
	reading, writing []time.Time
}

func (c *told) SetReadDeadline(t time.Time) error  { c.reading = append(c.reading, t); return nil }
func (c *told) SetWriteDeadline(t time.Time) error { c.writing = append(c.writing, t); return nil }
func (c *told) SetDeadline(t time.Time) error      { c.reading = append(c.reading, t); return nil }
func (c *told) Write(b []byte) (int, error)        { return len(b), nil }

func tolerant(clock int64) (*rawConn, *told) {
	c, p := &told{}, &Port{}
	p.clock.Store(clock)
	return &rawConn{Conn: c, conn: &Conn{port: p}, stall: time.Minute}, c
}

// A deadline that is far away is told to the connection when it comes near, one that
// is near or past at once, and one that was taken back never.
func TestH1_DeadlinesForReading(t *testing.T) {
	never := time.Time{}
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	type step struct {
		set   time.Time
		sweep time.Duration // instead of setting, where it is not 0
	}
	const now = time.Hour
	for name, row := range map[string]struct {
		clock int64
		steps []step
		want  []time.Time
	}{
		"far":                    {int64(now), []step{{set: at(now + time.Minute)}}, nil},
		"far, then taken back":   {int64(now), []step{{set: at(now + time.Minute)}, {set: never}, {sweep: now + time.Minute}}, nil},
		"far, then near":         {int64(now), []step{{set: at(now + time.Minute)}, {sweep: now + time.Minute - near}}, []time.Time{at(now + time.Minute)}},
		"far, not near yet":      {int64(now), []step{{set: at(now + time.Minute)}, {sweep: now + time.Minute - near - 1}}, nil},
		"armed once":             {int64(now), []step{{set: at(now + 4*time.Second)}, {sweep: now + 2*time.Second}, {sweep: now + 3*time.Second}}, []time.Time{at(now + 4*time.Second)}},
		"armed, then taken back": {int64(now), []step{{set: at(now + time.Second)}, {set: never}}, []time.Time{at(now + time.Second), never}},
		"armed, then far":        {int64(now), []step{{set: at(now + time.Second)}, {set: at(now + time.Hour)}}, []time.Time{at(now + time.Second), at(now + time.Hour)}},
		"near":                   {int64(now), []step{{set: at(now + near)}}, []time.Time{at(now + near)}},
		"past":                   {int64(now), []step{{set: time.Unix(1, 0)}}, []time.Time{time.Unix(1, 0)}},
		"past all counting":      {int64(now), []step{{set: time.Unix(-1<<60, 0)}}, []time.Time{time.Unix(-1<<60, 0)}},
		"nobody sweeps":          {-1, []step{{set: at(now + time.Hour)}}, []time.Time{at(now + time.Hour)}},
		"the sweep ends":         {int64(now), []step{{set: at(now + time.Hour)}, {sweep: 1<<63 - 1}}, []time.Time{at(now + time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			raw, c := tolerant(row.clock)
			for _, s := range row.steps {
				if s.sweep != 0 {
					raw.arm(int64(s.sweep))
				} else if err := raw.SetReadDeadline(s.set); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.EqualFunc(c.reading, row.want, time.Time.Equal) {
				t.Errorf("the connection was told %v, want %v", c.reading, row.want)
			}
		})
	}
}

// What net/http takes back without having set it leaves the deadline of writes alone.
func TestH1_DeadlinesForWriting(t *testing.T) {
	raw, c := tolerant(int64(time.Hour))
	for range 3 {
		raw.SetWriteDeadline(time.Time{})
		raw.Write(nil)
	}
	if len(c.writing) != 1 || c.writing[0].IsZero() {
		t.Errorf("three answers in one sweep told the connection %v, want one deadline", c.writing)
	}
	theirs := time.Now().Add(time.Second)
	raw.SetWriteDeadline(theirs)
	raw.Write(nil)
	raw.SetWriteDeadline(time.Time{})
	raw.Write(nil)
	if len(c.writing) != 4 || !c.writing[1].Equal(theirs) || !c.writing[2].IsZero() || c.writing[3].IsZero() {
		t.Errorf("a handler's own deadline and its end told the connection %v", c.writing)
	}
}

// The same with a real connection: a deadline that only the sweep has set ends a Read
// that began long before.
func TestH1_TheSweepEndsARead(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	p := &Port{}
	p.clock.Store(int64(time.Since(epoch)))
	raw := &rawConn{Conn: a, conn: &Conn{port: p}}
	raw.SetReadDeadline(time.Now().Add(near + time.Second))
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(raw, make([]byte, 1))
		ended <- err
	}()
	for range 20 {
		select {
		case err := <-ended:
			if !os.IsTimeout(err) {
				t.Errorf("reading ended with %v", err)
			}
			return
		case <-time.After(500 * time.Millisecond):
			raw.arm(int64(time.Since(epoch)))
		}
	}
	t.Error("reading did not end")
}
