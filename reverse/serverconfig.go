package reverse

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
	"github.com/mtlsguard/mtlsguard/trust"
)

// ServerConfig configures a Server. Name, Services, Addrs, Gateways, Certificate, Users
// and Handler are required.
type ServerConfig struct {
	// Name is the name of the tunnels in policies, mappings and logs, like a port's.
	Name string
	// Services are the services that this server offers. The gateway's Authorize must
	// allow all of them.
	Services []string
	// Addrs are the addresses of the gateways' registration ports, HOST:PORT. The server
	// keeps connections to each.
	Addrs []string
	// Gateways identifies the gateways: their certificates in the TLS handshake, by name or
	// fingerprint. Only they may forward callers. Its verifier must have the Usage
	// trust.UsageServer.
	Gateways forwarded.Gateways
	// ServerName is the name that the gateway's certificate must have; "" means the host of
	// the address.
	ServerName string
	// Certificate returns the server's own client certificate, for the registration. It is
	// called for every connection, and every second for each tunnel: when it returns
	// another certificate than that of the tunnel, the tunnel is replaced. It must not
	// block, and must not use the Context of its argument, which has ended by then.
	Certificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// Users verifies the client certificates of callers that gateways forward.
	Users *trust.Verifier
	// Handler serves the requests. It should have a guard: the server calls it for every
	// caller, with and without a trusted certificate.
	Handler http.Handler

	Conns int // connections to each gateway; 0 means 2
	// Streams is how many requests one connection takes, and how many handlers run for it
	// at one time; 0 means 250. All connections together run at most Streams × Conns
	// handlers for each gateway. A handler counts until it returns, even if its caller has
	// gone; the answer to a request beyond the limit is 503, and no handler sees it. So is
	// the answer to a caller that has left running handlers behind, once it has as many
	// handlers as there are free places.
	Streams     int
	Ping        time.Duration // idle time before the server pings a gateway; 0 means 10 s
	PingTimeout time.Duration // time for the answer, before the tunnel is closed; 0 means 5 s
	Drain       time.Duration // time for requests in flight after Serve's context has ended; 0 means 8 s
	// BackoffMin and BackoffMax bound the pauses between attempts to reach a gateway; 0
	// means 500 ms and 30 s. Each pause has a random length up to a bound that doubles
	// with every failure.
	BackoffMin, BackoffMax time.Duration
	// Dial opens connections without TLS to gateways, for instance through a proxy; nil
	// means TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// OnEvent is called when a tunnel begins or ends and when an attempt to connect fails.
	// It must not block.
	OnEvent func(Event)
	// ErrorLog is that of http.Server.
	ErrorLog *log.Logger
}

const (
	defaultConns      = 2
	defaultDrain      = 8 * time.Second
	defaultBackoffMin = 500 * time.Millisecond
	defaultBackoffMax = 30 * time.Second
)

func (c *ServerConfig) setDefaults() {
	c.Conns = cmp.Or(c.Conns, defaultConns)
	c.Streams = cmp.Or(c.Streams, defaultStreams)
	c.Ping = cmp.Or(c.Ping, defaultPing)
	c.PingTimeout = cmp.Or(c.PingTimeout, defaultPingTimeout)
	c.Drain = cmp.Or(c.Drain, defaultDrain)
	c.BackoffMin = cmp.Or(c.BackoffMin, defaultBackoffMin)
	c.BackoffMax = cmp.Or(c.BackoffMax, max(defaultBackoffMax, c.BackoffMin))
	c.Services, c.Addrs = slices.Clone(c.Services), slices.Clone(c.Addrs)
}

// check returns the receiver for Gateways and Users, or every error of a configuration that
// has its defaults.
func (c *ServerConfig) check() (*forwarded.Receiver, error) {
	var wrong errorlist.List
	add := func(what, hint string) { wrong.Add(configerror.Error{What: "ServerConfig." + what, Hint: hint}) }
	if !wire.ValidName(c.Name) {
		add(fmt.Sprintf("Name: %q is not a name", c.Name), wire.NameHint)
	}
	if len(c.Services) == 0 || len(c.Services) > wire.MaxServices {
		add(fmt.Sprintf("Services has %d entries", len(c.Services)), fmt.Sprintf("1 to %d", wire.MaxServices))
	}
	for i, s := range c.Services {
		switch {
		case !wire.ValidName(s):
			add(fmt.Sprintf("Services[%d]: %q is not a name", i, s), wire.NameHint)
		case slices.Contains(c.Services[:i], s):
			add(fmt.Sprintf("Services[%d]: %q is a duplicate", i, s), "remove one of them")
		}
	}
	if len(c.Addrs) == 0 {
		add("Addrs is empty", "for example gateway.acme.example:8444")
	}
	for i, addr := range c.Addrs {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			add(fmt.Sprintf("Addrs[%d]: %q is not HOST:PORT", i, addr), "for example gateway.acme.example:8444")
		} else if slices.Contains(c.Addrs[:i], addr) {
			add(fmt.Sprintf("Addrs[%d]: %q is a duplicate", i, addr), "remove one of them, and set Conns for more connections")
		}
	}
	if c.Certificate == nil {
		add("Certificate is nil", "set a function that returns the server's own client certificate")
	}
	if c.Handler == nil {
		add("Handler is nil", "set the handler to serve, wrapped by middleware.Guard.Handler")
	}
	if c.Conns < 0 {
		add(fmt.Sprintf("Conns is %d", c.Conns), "0 means 2")
	}
	if c.Drain < 0 {
		add(fmt.Sprintf("Drain is %v", c.Drain), "0 means 8 s")
	}
	if c.BackoffMin < 0 || c.BackoffMax < c.BackoffMin {
		add(fmt.Sprintf("BackoffMin is %v and BackoffMax is %v", c.BackoffMin, c.BackoffMax), "0 < BackoffMin <= BackoffMax; 0 and 0 mean 500 ms and 30 s")
	}
	checkTunnelLimits(add, c.Ping, c.PingTimeout, c.Streams)
	receiver, err := c.receiver()
	wrong.Merge(err, configerror.Error{})
	return receiver, wrong.Err()
}

func (c *ServerConfig) receiver() (*forwarded.Receiver, error) {
	if v := c.Gateways.Trust; v != nil && v.Usage() != trust.UsageServer {
		return nil, &configerror.Error{
			What: "ServerConfig.Gateways.Trust has the usage " + v.Usage().String(),
			Hint: "build its trust.Verifier with Usage: trust.UsageServer, because the server calls gateways",
		}
	}
	return forwarded.New(forwarded.Config{Topology: forwarded.RFC9440(), Gateways: c.Gateways, Users: c.Users})
}

// checkUnchanged returns an error for each setting of next that differs from c and cannot
// change while the server runs.
func (c *ServerConfig) checkUnchanged(next *ServerConfig) error {
	var wrong errorlist.List
	for _, field := range []struct {
		name string
		same bool
	}{
		{"Name", next.Name == c.Name},
		{"Services", slices.Equal(next.Services, c.Services)},
		{"Addrs", slices.Equal(next.Addrs, c.Addrs)},
		{"ServerName", next.ServerName == c.ServerName},
		{"Conns", next.Conns == c.Conns},
		{"Streams", next.Streams == c.Streams},
		{"Ping", next.Ping == c.Ping},
		{"PingTimeout", next.PingTimeout == c.PingTimeout},
		{"Drain", next.Drain == c.Drain},
		{"BackoffMin", next.BackoffMin == c.BackoffMin},
		{"BackoffMax", next.BackoffMax == c.BackoffMax},
	} {
		if !field.same {
			wrong.Add(configerror.Error{
				What: "ServerConfig." + field.name + " cannot change while the server runs",
				Hint: "keep the old value, or build another server with NewServer",
			})
		}
	}
	return wrong.Err()
}
