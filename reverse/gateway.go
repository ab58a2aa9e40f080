package reverse

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/connlimit"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// GatewayConfig is what a Gateway is built from. Authorize and Service are needed.
// Its functions are asked while the gateway serves: what they answer may change.
type GatewayConfig struct {
	// Authorize says which services the holder of a certificate may serve. The chain is
	// one that the registration port believed, leaf first. An error, and a service that
	// is not among the answer, refuse the registration. One service, one owner: it is
	// this function that keeps a server from taking the requests for another.
	Authorize func(ctx context.Context, chain []*x509.Certificate) (services []string, err error)
	// Service says for which service a request is; empty is 404.
	Service func(*http.Request) string
	// Caller finds the caller's certificate; nil takes that of the ports.Port by which
	// the request came. The error is a *reason.Refusal: with no-certificate the caller is
	// stated to have none, with every other the request is refused here.
	Caller func(*http.Request) (trust.Verified, error)
	// Pick chooses among the tunnels that serve a service and have a free place, or none
	// of them by a zero Conn. nil takes the one with the least under way. It must not block.
	Pick func([]Tunnel) Tunnel

	Ping        time.Duration // after which a silent tunnel is asked whether it is alive; 10 s
	PingTimeout time.Duration // after which a tunnel that does not answer is gone; 5 s
	MaxAge      time.Duration // after which the server is asked for a new tunnel in place of an old one; 0: never
	QueueWait   time.Duration // for a free tunnel, before 503; 5 s, negative: none
	QueueLength int           // requests that wait for one service; 256
	Streams     int           // requests at one time in one tunnel; 250, or what its server takes if that is less
	// CallerShare is the percentage of a service's places that one caller may hold while
	// no other caller does: 1 to 100; 0 means 50, and 100 lets one caller take them all. A
	// caller is a certificate, or without one an IPv4 address or IPv6 /64. It may hold
	// CallerShare / (100 - CallerShare) times as many places as are free: with 50, half
	// of them alone and a third beside another. Requests beyond that wait as if no place
	// were free.
	CallerShare int
	MaxTunnels  int // in all; 1000
	// Passthrough bounds the connections of ServePassthrough: Handshake is the time from
	// accept to the client's first message (0 means 5 s), Idle the time for a client to
	// take the next part (0 means 2 min), Connections are open at one time (0 means
	// 10,000; the next ones wait), and PerIP of one IPv4 address or IPv6 /64 (0 means
	// 100; the next ones are closed). The other fields mean nothing.
	Passthrough ports.Limits
	// Upgrades are the protocols that a client may switch to, such as websocket. All
	// others are refused.
	Upgrades []string
	// Observe is told of tunnels that come and go, and of requests that none could
	// take. It must not block.
	OnEvent func(Event)
}

const (
	defaultQueueWait   = 5 * time.Second
	defaultQueueLength = 256
	defaultTunnels     = 1000
	defaultCallerShare = 50
	defaultIdle        = 2 * time.Minute
)

// Gateway takes requests from clients and hands them to servers that dialled it. It
// is an http.Handler, to be mounted on the external ports. It is safe for concurrent
// use.
type Gateway struct {
	config    GatewayConfig
	pool      pool
	passing   *connlimit.Counter // connections of ServePassthrough
	proxy     *httputil.ReverseProxy
	pseudonym string
	runs      sync.WaitGroup // tunnels
	beginning sync.Mutex     // of one, and of Shutdown
	leaving   bool           // no tunnel begins any more
	rechecks  atomic.Uint64  // calls of Recheck that have begun
}

// NewGateway builds a Gateway. Every mistake is reported at once.
func NewGateway(c GatewayConfig) (*Gateway, error) {
	var wrong errorlist.List
	say := func(what, hint string) { wrong.Add(configerror.Error{What: "GatewayConfig." + what, Hint: hint}) }
	if c.Authorize == nil {
		// Fail closed: else every certificate of the registration port could take everybody's requests.
		say("Authorize is nil", "it says which services a server's certificate may serve")
	}
	if c.Service == nil {
		say("Service is nil", "it says for which service a request is")
	}
	c.Ping = cmp.Or(c.Ping, defaultPing)
	c.PingTimeout = cmp.Or(c.PingTimeout, defaultPingTimeout)
	c.Streams = cmp.Or(c.Streams, defaultStreams)
	bounds(&wrong, "GatewayConfig", c.Ping, c.PingTimeout, c.Streams)
	if c.MaxAge < 0 {
		say("MaxAge is negative", "0 is never")
	}
	if c.QueueWait == 0 {
		c.QueueWait = defaultQueueWait
	}
	if c.QueueLength == 0 {
		c.QueueLength = defaultQueueLength
	}
	if c.MaxTunnels == 0 {
		c.MaxTunnels = defaultTunnels
	}
	if c.CallerShare == 0 {
		c.CallerShare = defaultCallerShare
	}
	if c.CallerShare < 1 || c.CallerShare > 100 {
		say(fmt.Sprintf("CallerShare is %d", c.CallerShare), "a percentage, 1 to 100; 0 is 50")
	}
	if c.QueueLength < 0 || c.MaxTunnels < 0 {
		say("QueueLength or Tunnels is negative", "")
	}
	if l := &c.Passthrough; l.Handshake < 0 || l.Idle < 0 || l.Connections < 0 || l.PerIP < 0 {
		say("Passthrough holds a negative limit", "0 takes the default")
	} else {
		l.Handshake = cmp.Or(l.Handshake, 5*time.Second)
		l.Idle = cmp.Or(l.Idle, defaultIdle)
		l.Connections = cmp.Or(l.Connections, 10_000)
		l.PerIP = cmp.Or(l.PerIP, 100)
	}
	c.Upgrades = slices.Clone(c.Upgrades)
	for i, token := range c.Upgrades {
		if !validName(token) {
			say(fmt.Sprintf("Upgrades[%d], %q, is no protocol", i, token), "websocket")
		}
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	if c.Caller == nil {
		c.Caller = callerOfPort
	}
	g := &Gateway{config: c, pseudonym: newPseudonym(), passing: connlimit.New(c.Passthrough.Connections, c.Passthrough.PerIP)}
	g.pool = pool{wait: c.QueueWait, most: c.QueueLength, share: c.CallerShare, pick: c.Pick, services: map[string]*queue{}, tunnels: map[*gatewayEnd]struct{}{}, accounts: map[holder]*account{}}
	g.proxy = &httputil.ReverseProxy{
		Rewrite:       g.rewrite,
		Transport:     through{g},
		ErrorHandler:  g.broken,
		FlushInterval: -1, // what the handler has flushed does not wait here
		BufferPool:    &buffers,
		ErrorLog:      log.New(io.Discard, "", 0), // Observe tells
	}
	return g, nil
}

// callerOfPort is the certificate of the connection, as its port judges it now.
func callerOfPort(r *http.Request) (trust.Verified, error) {
	c, ok := ports.FromContext(r.Context())
	if !ok || r.TLS == nil {
		// Fail closed: something hides the connection, and with it the certificate.
		return trust.Verified{}, reason.Refuse(reason.Misdirected, "the request did not come by a port")
	}
	return c.Verified(r.Context())
}

// Conns describes the tunnels that there are, the oldest first.
func (g *Gateway) Tunnels() []Tunnel { return g.pool.conns() }

// Recheck asks Authorize again about every tunnel, and closes those that may not
// serve any more what they serve: after a change of what it answers. Registrations that
// are under way are asked about again before they come into service.
func (g *Gateway) Recheck(ctx context.Context) {
	g.rechecks.Add(1) // before the list: see admit
	for _, t := range g.pool.all() {
		if err := g.authorized(ctx, t.verified, t.services); err != nil {
			g.observe(Event{Kind: Refused, Services: t.services, Remote: t.remote, Certificate: t.verified, Reason: wordOf(err), Err: err})
			t.finish()
		}
	}
}

// admit puts a tunnel into service. Authorize answered when the server registered, and
// the server itself decides how long it takes from there to here. Where Recheck has been
// called since, it has not seen this tunnel: Authorize is asked again, so that a server
// cannot keep an old answer by waiting. Every tunnel that is added before Recheck makes
// its list is in that list.
func (g *Gateway) admit(t *gatewayEnd) error {
	for {
		asked := g.rechecks.Load()
		if asked != t.asked {
			ctx, cancel := context.WithTimeout(context.Background(), helloTime)
			err := g.authorized(ctx, t.verified, t.services)
			cancel()
			if err != nil {
				g.observe(Event{Kind: Refused, Services: t.services, Remote: t.remote, Certificate: t.verified, Reason: wordOf(err), Err: err})
				return err
			}
			t.asked = asked
		}
		switch added, err := g.pool.add(t, g.config.MaxTunnels, func() bool { return g.rechecks.Load() == asked }); {
		case err != nil:
			return err
		case added:
			return nil
		}
	}
}

// authorized asks whether a certificate may serve all of these services.
func (g *Gateway) authorized(ctx context.Context, v trust.Verified, services []string) (err error) {
	defer recovered("Authorize", &err) // fail closed
	allowed, err := g.config.Authorize(ctx, v.Chains()[0])
	if err != nil {
		return err
	}
	for _, s := range services {
		if !slices.Contains(allowed, s) {
			return reason.Refuse(reason.Denied, fmt.Sprintf("the certificate may not serve %s", s))
		}
	}
	return nil
}

// Shutdown says goodbye to every server, waits until what is under way has ended, and
// closes the tunnels, at the latest when ctx ends. Requests that wait, and new ones,
// are answered with 503. It returns the error of ctx, or nil.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.beginning.Lock()
	g.leaving = true
	g.beginning.Unlock()
	all := g.pool.close()
	for _, t := range all {
		g.pool.drain(t)
		g.observe(t.event(Draining, nil))
		go func() {
			_ = t.speaker.say(wordBye)
			g.pool.settle(t)
		}()
	}
	ended := make(chan struct{})
	go func() {
		g.runs.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		for _, t := range all {
			t.finish()
		}
		return ctx.Err()
	}
}

func (g *Gateway) observe(e Event) {
	if g.config.OnEvent != nil {
		g.config.OnEvent(e)
	}
}

// mayUpgrade reports whether clients may switch to a protocol.
func (g *Gateway) mayUpgrade(token string) bool {
	return slices.ContainsFunc(g.config.Upgrades, func(own string) bool { return strings.EqualFold(own, token) })
}

// buffers are for bodies on their way: one for each answer under way.
var buffers bufferPool

type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }
