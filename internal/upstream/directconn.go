package upstream

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// directConn is a connection of direct. One request at a time uses it.
type directConn struct {
	net.Conn
	of       *direct
	in       *bufio.Reader
	out      *bufio.Writer
	left     int64 // bytes that may still be read
	received bool  // a byte of the answer
	failed   bool  // the request was not written completely
	raw      syscall.RawConn
	since    time.Time // without a request
}

func newDirectConn(n net.Conn, of *direct) *directConn {
	if own, ok := n.(*conn); ok {
		n = own.Conn
	}
	c := &directConn{Conn: n, of: of}
	if s, ok := n.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn() // without it the connection is not kept, see state
	}
	c.in, c.out = bufio.NewReader(c), bufio.NewWriter(n)
	return c
}

// Read reads for in.
func (c *directConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("server response headers exceeded %d bytes", headerBytes)
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.received = c.received || n > 0
	return n, err
}

// idleConns are connections without a request. The zero value is ready for use.
type idleConns struct {
	mu     sync.Mutex
	conns  []*directConn // the last used one is the last
	timer  *time.Timer   // closes the first; nil if there is none
	closed bool
}

// put keeps a connection for idleTime, or closes it if there are enough.
func (i *idleConns) put(c *directConn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || len(i.conns) >= maxIdle {
		c.Close()
		return
	}
	c.since = time.Now()
	i.conns = append(i.conns, c)
	if i.timer == nil {
		i.timer = time.AfterFunc(idleTime, i.expire)
	}
}

// take returns a connection on which the service has sent nothing since its last answer, or nil.
// The others are closed: their bytes would be the answer to the next request, which may be another
// caller's.
func (i *idleConns) take() *directConn {
	for {
		c := i.last()
		if c == nil {
			return nil
		}
		switch c.state() {
		case connQuiet:
			return c
		case connSurplus:
			c.surplus()
		case connClosed:
			c.Close()
		}
	}
}

func (i *idleConns) last() *directConn {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.conns) - 1
	if n < 0 {
		return nil
	}
	c := i.conns[n]
	i.conns[n], i.conns = nil, i.conns[:n]
	return c
}

// expire closes what was not used for idleTime.
func (i *idleConns) expire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	now, n := time.Now(), 0
	for n < len(i.conns) && now.Sub(i.conns[n].since) >= idleTime {
		i.conns[n].Close()
		n++
	}
	i.conns = slices.Delete(i.conns, 0, n)
	if i.timer = nil; len(i.conns) > 0 {
		i.timer = time.AfterFunc(idleTime-now.Sub(i.conns[0].since), i.expire)
	}
}

// close closes all, and each that is put later.
func (i *idleConns) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	for _, c := range i.conns {
		c.Close()
	}
	i.conns = nil
}

// connState is what a service has done on a connection without a request.
type connState int

const (
	connClosed  connState = iota // or it is not known
	connQuiet                    // nothing
	connSurplus                  // it has sent bytes
)
