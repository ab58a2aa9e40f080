package ports

import (
	"sync/atomic"
	"time"
)

// progress measures one direction of a connection or a stream, to detect a peer that
// stalls. The side that may wait marks where a wait begins and ends and counts
// the bytes that the peer took or sent; the port's sweep decides. A wait costs two
// atomic additions: a write that does not wait sets no timer.
type progress struct {
	state atomic.Uint64 // the number of bytes times oneByte, and of the waits under way

	// Only the sweep uses these.
	waitingSince time.Duration // since epoch: when the sweep first saw the wait, or last saw enough progress; 0: no wait
	bytesThen    int64         // the number of bytes at waitingSince
}

// oneByte leaves room for 65,535 calls at one time. The number of bytes begins again
// from 0 after 2^48.
const oneByte = 1 << 16

// begin marks the beginning of a wait.
func (p *progress) begin() { p.state.Add(1) }

// add counts bytes during a wait.
func (p *progress) add(n int) { p.state.Add(uint64(n) * oneByte) }

// end counts bytes and marks the end of a wait.
func (p *progress) end(n int) { p.state.Add(uint64(n)*oneByte - 1) }

// waits reports whether a wait is under way.
func (p *progress) waits() bool { return p.state.Load()%oneByte != 0 }

// stalled reports whether the peer took or sent fewer than least bytes in a wait of
// limit. The sweep calls it once a round, so a wait is found at most two rounds late.
func (p *progress) stalled(now time.Duration, least int64, limit time.Duration) bool {
	state := p.state.Load()
	if state%oneByte == 0 {
		p.waitingSince = 0
		return false
	}
	if bytes := int64(state / oneByte); p.waitingSince == 0 || bytes-p.bytesThen >= least || bytes < p.bytesThen {
		p.waitingSince, p.bytesThen = now, bytes
		return false
	}
	return now-p.waitingSince >= limit
}

// The slowest peer that is served takes 4 KiB a second or, where Limits.Idle is
// longer than four seconds, 16 KiB in that time: one DATA frame of HTTP/2, one
// record of TLS. Bytes that come more slowly do not keep a connection.
const (
	minRate     = 4 << 10
	maxMinBytes = 16 << 10
)

// minBytes returns how many bytes a peer has to take within limit.
func minBytes(limit time.Duration) int64 {
	return min(max(int64(limit.Seconds()*minRate), 1<<10), maxMinBytes)
}
