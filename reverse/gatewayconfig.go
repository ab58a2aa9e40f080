package reverse

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
	"github.com/mtlsguard/mtlsguard/trust"
)

// GatewayConfig configures a Gateway. Authorize and Service are required. The gateway
// calls the functions while it serves, so their results may change, and it calls them
// concurrently.
type GatewayConfig struct {
	// Authorize returns the services that the holder of a certificate may serve. The chain
	// is one that the registration port verified, leaf first. An error, and a service that
	// is not in the result, refuse the registration. Only this function keeps one server
	// from taking the requests of another.
	Authorize func(ctx context.Context, chain []*x509.Certificate) (services []string, err error)
	// Service returns the service of a request; the answer to "" is 404.
	Service func(*http.Request) string
	// Caller returns the caller's client certificate; nil takes the one that the request's
	// ports.Port verified. The error must be a *reason.Refusal: with reason.NoCertificate
	// the gateway forwards the request without a certificate, with every other reason it
	// refuses the request.
	Caller func(*http.Request) (trust.Verified, error)
	// Pick chooses one of the tunnels that serve a service and have a free place, or
	// rejects all of them by returning the zero Tunnel. nil takes the tunnel with the
	// fewest requests in flight. Pick must not block.
	Pick func([]Tunnel) Tunnel

	Ping        time.Duration // idle time before the gateway pings a server; 0 means 10 s
	PingTimeout time.Duration // time for the answer, before the tunnel is closed; 0 means 5 s
	MaxAge      time.Duration // age at which the server is asked to replace a tunnel; 0 means no limit
	QueueWait   time.Duration // time that a request waits for a free place, before 503; 0 means 5 s, negative means none
	QueueLength int           // requests that wait for one service; 0 means 256
	Streams     int           // requests in flight in one tunnel, at most what its server takes; 0 means 250
	// CallerShare is the percentage of a service's places that one caller may hold while
	// no other caller holds any: 1 to 100; 0 means 50, and 100 means no limit. A caller is a
	// client certificate, or without one an IPv4 address or IPv6 /64. It may hold
	// CallerShare / (100 - CallerShare) times as many places as are free: with 50, half of
	// them alone and a third beside another caller. Requests beyond that wait as if no
	// place were free.
	CallerShare int
	MaxTunnels  int // in all; 0 means 1000
	// Passthrough limits the connections of ServePassthrough. Handshake is the time from
	// accept to the client's first message (0 means 5 s), Idle the time for a client to
	// take the next bytes (0 means 2 min), Connections the number of open connections (0
	// means 10,000; further ones wait), and PerIP the number of one IPv4 address or IPv6
	// /64 (0 means 100; further ones are closed). The other fields have no effect.
	Passthrough ports.Limits
	// Upgrades are the protocols that a client may upgrade to, such as websocket. The
	// gateway answers 501 to requests for all others.
	Upgrades []string
	// OnEvent is called when a tunnel begins or ends and when a request finds no tunnel. It
	// must not block.
	OnEvent func(Event)
}

const (
	defaultPing        = 10 * time.Second
	defaultPingTimeout = 5 * time.Second
	defaultStreams     = 250
	defaultQueueWait   = 5 * time.Second
	defaultQueueLength = 256
	defaultTunnels     = 1000
	defaultCallerShare = 50
	defaultIdle        = 2 * time.Minute
)

func (c *GatewayConfig) setDefaults() {
	c.Ping = cmp.Or(c.Ping, defaultPing)
	c.PingTimeout = cmp.Or(c.PingTimeout, defaultPingTimeout)
	c.Streams = cmp.Or(c.Streams, defaultStreams)
	c.QueueWait = cmp.Or(c.QueueWait, defaultQueueWait)
	c.QueueLength = cmp.Or(c.QueueLength, defaultQueueLength)
	c.MaxTunnels = cmp.Or(c.MaxTunnels, defaultTunnels)
	c.CallerShare = cmp.Or(c.CallerShare, defaultCallerShare)
	c.Passthrough.Handshake = cmp.Or(c.Passthrough.Handshake, 5*time.Second)
	c.Passthrough.Idle = cmp.Or(c.Passthrough.Idle, defaultIdle)
	c.Passthrough.Connections = cmp.Or(c.Passthrough.Connections, 10_000)
	c.Passthrough.PerIP = cmp.Or(c.Passthrough.PerIP, 100)
	c.Upgrades = slices.Clone(c.Upgrades)
	if c.Caller == nil {
		c.Caller = callerOfPort
	}
}

// check returns every error of a configuration that has its defaults.
func (c *GatewayConfig) check() error {
	var wrong errorlist.List
	add := func(what, hint string) { wrong.Add(configerror.Error{What: "GatewayConfig." + what, Hint: hint}) }
	if c.Authorize == nil {
		// Fail closed: any certificate that the registration port trusts could take all requests.
		add("Authorize is nil", "set a function that returns the services that a server's certificate may serve")
	}
	if c.Service == nil {
		add("Service is nil", "set a function that returns the service of a request")
	}
	checkTunnelLimits(add, c.Ping, c.PingTimeout, c.Streams)
	if c.MaxAge < 0 {
		add(fmt.Sprintf("MaxAge is %v", c.MaxAge), "0 means no limit")
	}
	if c.CallerShare < 1 || c.CallerShare > 100 {
		add(fmt.Sprintf("CallerShare is %d", c.CallerShare), "a percentage from 1 to 100; 0 means 50")
	}
	if c.QueueLength < 0 {
		add(fmt.Sprintf("QueueLength is %d", c.QueueLength), "0 means 256")
	}
	if c.MaxTunnels < 0 {
		add(fmt.Sprintf("MaxTunnels is %d", c.MaxTunnels), "0 means 1000")
	}
	if l := &c.Passthrough; l.Handshake < 0 || l.Idle < 0 || l.Connections < 0 || l.PerIP < 0 {
		add("Passthrough has a negative limit", "0 means the default")
	}
	for i, token := range c.Upgrades {
		if !wire.ValidName(token) {
			add(fmt.Sprintf("Upgrades[%d]: %q is not a protocol", i, token), "for example websocket")
		}
	}
	return wrong.Err()
}

// checkTunnelLimits checks the limits that both sides have.
func checkTunnelLimits(add func(what, hint string), ping, timeout time.Duration, streams int) {
	if ping < 0 {
		add(fmt.Sprintf("Ping is %v", ping), "0 means 10 s; without pings a silent peer would go unnoticed")
	}
	if timeout < 0 {
		add(fmt.Sprintf("PingTimeout is %v", timeout), "0 means 5 s; without it a silent peer would go unnoticed")
	}
	if streams < 1 || streams > wire.MaxStreams {
		add(fmt.Sprintf("Streams is %d", streams), fmt.Sprintf("1 to %d; 0 means %d", wire.MaxStreams, defaultStreams))
	}
}

// callerOfPort returns the client certificate of the connection as its port verifies it
// now.
func callerOfPort(r *http.Request) (trust.Verified, error) {
	c, ok := ports.FromContext(r.Context())
	if !ok || r.TLS == nil {
		// Fail closed: some middleware hides the connection, and with it the certificate.
		return trust.Verified{}, reason.Refuse(reason.NoPort, "the request did not come through a ports.Port")
	}
	return c.Verified(r.Context())
}
