package ports

import (
	"crypto/x509"
	"net"
	"slices"
	"sync/atomic"
	"time"
)

// ConnInfo describes an open connection at one moment.
type ConnInfo struct {
	ID         uint64 // unique in this process, never 0
	Port       string
	Remote     net.Addr  // the caller, as its proxy reports it if there is one
	Proxy      net.Addr  // the peer that has to send a PROXY header; nil: there is none
	Since      time.Time // the end of the handshake
	ServerName string    // as the client sent it: it may hold any character
	TLSVersion uint16    // such as tls.VersionTLS13
	Resumed    bool
	Protocol   string // by ALPN: h2, http/1.1, or empty if none was negotiated
	Hijacked   bool   // a handler has taken it: for a WebSocket, or the tunnel of a registered server
	Ending     bool   // it is being closed
	// Leaf is the certificate of the connection itself: behind a gateway the gateway's. nil: there
	// is none. Do not modify it.
	Leaf  *x509.Certificate
	Until time.Time // when the last verification of Leaf ends, see trust.Verified.Until; zero without one

	// User, Mapping and Via are those of the last request whose caller a guard has identified;
	// empty before. Via is a value of identity.Via. Callers behind a gateway share a connection.
	User, Mapping, Via string

	Requests uint64    // that have come to the handler of an http.Server that Port.Configure has set up
	Active   int       // of these, how many are at work
	Last     time.Time // when the last of these came, at most a second late; zero: none has
}

// Connections describes the open connections, the oldest first. Those in a handshake are not
// among them. It looks at every connection: do not call it for every request.
func (p *Port) Connections() []ConnInfo {
	all := p.connections()
	out := make([]ConnInfo, 0, len(all))
	for _, c := range all {
		out = append(out, c.info())
	}
	slices.SortFunc(out, func(a, b ConnInfo) int { return a.Since.Compare(b.Since) })
	return out
}

// CloseConnection ends a connection as a change of trust does: soon if it is idle, otherwise when
// its answer is complete or a second is over. It does not wait, and OnClosed is not called. It
// returns false if there is no such connection. The client may connect again: to shut it out,
// change mappings, policy or trust.
func (p *Port) CloseConnection(id uint64) bool {
	for _, c := range p.connections() {
		if c.id == id {
			(*guardConn)(c).End(nil)
			return true
		}
	}
	return false
}

// connIDs counts the connections of this process.
var connIDs atomic.Uint64

func (c *Conn) info() ConnInfo {
	out := ConnInfo{
		ID: c.id, Port: c.port.name, Remote: c.raw.RemoteAddr(), Proxy: c.raw.proxy, Since: c.openedAt, ServerName: c.serverName,
		TLSVersion: c.version, Resumed: c.resumed, Protocol: c.protocol, Hijacked: c.hijacked.Load(), Ending: c.ending.Load(),
	}
	if c.sentCertificate() {
		out.Leaf = c.certificates[0]
	}
	if verified := c.verified.Load(); verified != nil {
		out.Until = verified.Until()
	}
	if caller := c.caller.Load(); caller != nil {
		out.User, out.Mapping, out.Via = caller.User, caller.Mapping, caller.Via
	}
	out.Requests, out.Active, out.Last = c.requests.read()
	return out
}

// requests counts the requests of a connection. One atomic addition counts a request and that
// its handler is at work: a counter of its own would cost 5 ns a request. The sweep finds out when the
// last request came: a clock read would cost 40 ns.
type requests struct {
	counts atomic.Uint64 // the number of requests times oneRequest, and the handlers at work
	swept  atomic.Uint64 // requests at the last sweep
	last   atomic.Int64  // the sweep that saw the last of these, since epoch
}

// oneRequest leaves room for 16 million handlers at work, and for 10^12 requests.
const oneRequest = 1 << 24

func (r *requests) begin() { r.counts.Add(oneRequest + 1) }

func (r *requests) end() { r.counts.Add(^uint64(0)) }

// active returns the number of handlers at work.
func (r *requests) active() int { return int(r.counts.Load() % oneRequest) }

// number returns how many requests have come.
func (r *requests) number() uint64 { return r.counts.Load() / oneRequest }

// sweep notes whether a request has come since the last sweep.
func (r *requests) sweep(clock time.Duration) {
	if n := r.number(); n != r.swept.Load() {
		r.last.Store(int64(clock)) // before swept: see read
		r.swept.Store(n)
	}
}

// read returns the counts, and when the last request came. A request since the last sweep came
// now, within the second that is promised.
func (r *requests) read() (n uint64, active int, last time.Time) {
	swept, counts := r.swept.Load(), r.counts.Load()
	switch n = counts / oneRequest; {
	case n == 0:
	case n == swept:
		last = time.Now().Add(time.Duration(r.last.Load()) - time.Since(epoch))
	default:
		last = time.Now()
	}
	return n, int(counts % oneRequest), last
}
