package ports

import (
	"testing"
	"time"
)

// Sweep sweeps at a time, as the port does every second.
func (p *Port) Sweep(at time.Time) { p.sweep(at) }

// Covers H1.
func TestIdleMeansThatNoRequestHasCome(t *testing.T) {
	t.Parallel()
	const start = time.Hour
	for name, row := range map[string]struct {
		between func(*Conn)
		ends    bool
	}{
		"idle for a minute":           {func(*Conn) {}, true},
		"idle for less":               {func(c *Conn) { c.idleSince += time.Second }, false},
		"a byte has come":             {func(c *Conn) { c.raw.reading.end(1); c.raw.reading.begin() }, true},
		"a request has come and gone": {func(c *Conn) { c.requests.begin(); c.requests.end() }, false},
		"a request was seen under way": {func(c *Conn) {
			c.idle.Store(false)
			c.sweepIdle(start + time.Second)
			c.idle.Store(true)
		}, false},
		"a request is under way":              {func(c *Conn) { c.idle.Store(false) }, false},
		"a request begins, or net/http looks": {func(c *Conn) { c.raw.SetReadDeadline(epoch.Add(2 * time.Hour)) }, false},
		"HTTP/2":                              {func(c *Conn) { c.http2 = true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			raw, set := tolerant(int64(start))
			c := raw.conn
			c.raw = raw
			c.idle.Store(true)
			raw.reading.begin()
			c.sweepIdle(start)
			row.between(c)
			c.sweepIdle(start + time.Minute)
			if ends := len(set.reading) > 0; ends != row.ends {
				t.Errorf("the deadlines of the connection are %v, want one: %t", set.reading, row.ends)
			}
		})
	}
}
