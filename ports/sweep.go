package ports

import "time"

// longIdle is the shortest Limits.Idle that the sweep is precise enough for.
const longIdle = 10 * sweepEvery

// sweepIdle ends a connection of HTTP/1 that waits too long for its next request. Where net/http
// limits the wait it has set a deadline, as it does while it reads the head of a request. Bytes
// that are no request (a client may send up to 16 empty records of TLS) do not extend the wait.
func (c *Conn) sweepIdle(clock time.Duration) {
	if c.http2 || !c.idle.Load() || c.raw.reading.requested.Load() != 0 {
		c.idleSince = 0
		return
	}
	if n := c.requests.number(); c.idleSince == 0 || n != c.idleAfter {
		c.idleSince, c.idleAfter = clock, n
		return
	}
	if clock-c.idleSince >= c.raw.idleLimit {
		c.raw.setReadLimit(longAgo) // net/http says goodbye, and closes the connection
	}
}

// sweep ends the waits that a client lets last too long. l are the current limits.
func (c *Conn) sweep(now time.Time, l Limits) {
	clock := now.Sub(epoch)
	c.raw.sweepWrite(clock)
	c.sweepIdle(clock)
	c.streams.sweep(clock)
	c.requests.sweep(clock)
	if c.hijacked.Load() || !c.hasServer.Load() {
		return // a handler decides how long it lasts
	}
	age := now.Sub(c.openedAt)
	if c.isNew.Load() && age > l.Headers+sweepEvery {
		c.raw.Close() // half a preface of HTTP/2: net/http waits ten seconds, whatever is configured
	}
	if c.lifetime == 0 || age < c.lifetime {
		return
	}
	c.retire() // an idle one too: closing it now could cross with a request
	if c.requests.active() == 0 && age > c.lifetime+l.Idle+2*sweepEvery {
		// An answer of net/http itself (400, 431) does not count as the last one. Without this
		// a client that sends such requests for ever would keep its connection.
		c.raw.Close()
	}
}
