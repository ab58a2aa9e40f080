package ports

import (
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/trust"
)

// ClientAuth is what a port does about the client's certificate. The zero value
// is a mistake: there is no default for it.
type ClientAuth int

// The modes.
const (
	None    ClientAuth = iota + 1 // no certificate is asked for
	Request                       // asked for; a client without one may go on, a bad one may not
	Require                       // no certificate, no handshake
)

// String returns none, request or require.
func (a ClientAuth) String() string {
	switch a {
	case None:
		return "none"
	case Request:
		return "request"
	case Require:
		return "require"
	}
	return fmt.Sprintf("ClientAuth(%d)", int(a))
}

// Limits bound what a port spends on callers. A zero field takes its default.
type Limits struct {
	Handshake     time.Duration // from accept to the end of the handshake; 5 s
	Handshakes    int           // handshakes computing at one time; 4 a processor
	Connections   int           // open at one time, the next ones wait in the kernel's queue; 10,000
	PerIP         int           // of one IPv4 address or one IPv6 /64, the next ones are closed; 100
	HeaderBytes   int           // of one request; 65,536
	Headers       time.Duration // from the first byte of a request to the end of its headers, and for what a handler leaves of a body; 10 s
	Idle          time.Duration // between requests, for a client to take the next 16 KiB of an answer (HTTP/2: to grant their window), and to send the next byte of a body; 2 min
	Request       time.Duration // for a whole request and its answer; 0 is none
	Streams       int           // HTTP/2 streams at one time on one connection; 100. Under Server at most 10 for clients of Request without a certificate
	ConnectionAge time.Duration // after which a connection's next answer is its last; 1 h, negative is never
	Drain         time.Duration // for requests under way when the server stops; 8 s
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	count := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	set(&l.Handshake, 5*time.Second)
	set(&l.Headers, 10*time.Second)
	set(&l.Idle, 2*time.Minute)
	set(&l.ConnectionAge, time.Hour)
	set(&l.Drain, 8*time.Second)
	count(&l.Handshakes, 4*runtime.GOMAXPROCS(0))
	count(&l.Connections, 10_000)
	count(&l.PerIP, 100)
	count(&l.HeaderBytes, 65_536)
	count(&l.Streams, 100)
	return l
}

const minHeaderBytes = 4096

func (l Limits) check(wrong *errorlist.List) {
	durations := []struct {
		name string
		d    time.Duration
	}{{"Handshake", l.Handshake}, {"Headers", l.Headers}, {"Idle", l.Idle}, {"Request", l.Request}, {"Drain", l.Drain}}
	for _, x := range durations {
		if x.d < 0 {
			wrong.Add(configerror.Error{What: fmt.Sprintf("Limits.%s is negative", x.name)})
		}
	}
	counts := []struct {
		name string
		n    int
	}{{"Handshakes", l.Handshakes}, {"Connections", l.Connections}, {"PerIP", l.PerIP}, {"Streams", l.Streams}}
	for _, x := range counts {
		if x.n < 0 {
			wrong.Add(configerror.Error{What: fmt.Sprintf("Limits.%s is negative", x.name)})
		}
	}
	if l.HeaderBytes < minHeaderBytes {
		wrong.Add(configerror.Error{What: fmt.Sprintf("Limits.HeaderBytes is %d", l.HeaderBytes), Hint: fmt.Sprintf("%d or more", minHeaderBytes)})
	}
}

// Config is what a Port is built from.
type Config struct {
	Name       string // names the port in policies, mappings and logs
	Addr       string // host:port; port 0 takes any free one
	ClientAuth ClientAuth
	// Certificate answers with the server's certificate. It is asked in every full
	// handshake and must not block.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Trust judges clients. It is needed unless ClientAuth is None.
	Trust *trust.Verifier
	// MinVersion is tls.VersionTLS12 (also when 0) or tls.VersionTLS13.
	MinVersion uint16
	Limits     Limits
	// HideAuthorities keeps the names of the anchors out of the request for a
	// certificate. Clients that choose by these names may then send none.
	HideAuthorities bool
	// CancelRequests ends the context of the requests under way on a connection that
	// is not believed any more, so that a long handler can stop.
	CancelRequests bool
	// OnHandshake is told of every handshake, refused or not, on the connection's
	// own goroutine. It must not block.
	OnHandshake func(Handshake)
}

func (c *Config) check() error {
	var wrong errorlist.List
	say := func(what, hint string) {
		wrong.Add(configerror.Error{What: fmt.Sprintf("port %q: %s", c.Name, what), Hint: hint})
	}
	if c.Name == "" || c.Name == "*" {
		say("a port needs a name", "the name that policies, mappings and logs use")
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		say(fmt.Sprintf("Addr %q is not host:port", c.Addr), "127.0.0.1:8443")
	}
	if c.ClientAuth < None || c.ClientAuth > Require {
		say("ClientAuth is not set", "None, Request or Require: there is no default")
	}
	if c.Certificate == nil {
		say("no server certificate", "Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error)")
	}
	if c.ClientAuth > None && c.Trust == nil {
		// Fail closed: without anchors of its own, crypto/tls would believe the system's.
		say("no trust to judge clients by", "Trust: a trust.Verifier with the anchors of your clients")
	}
	if c.Trust != nil && c.Trust.Usage() != trust.UsageClient {
		say("its trust is for "+c.Trust.Usage().String(), "a trust.Verifier of Usage ClientAuth: who connects is a client")
	}
	if c.MinVersion != 0 && c.MinVersion != tls.VersionTLS12 && c.MinVersion != tls.VersionTLS13 {
		say(fmt.Sprintf("MinVersion is %#x", c.MinVersion), "tls.VersionTLS12 or tls.VersionTLS13")
	}
	c.Limits.check(&wrong)
	return wrong.Err()
}
