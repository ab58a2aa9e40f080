package ports

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/systemd"
	"github.com/mtlsguard/mtlsguard/trust"
)

// ClientAuth is a port's client-certificate mode. The zero value is an error: the mode has
// no default.
type ClientAuth int

// The modes.
const (
	None    ClientAuth = iota + 1 // the port requests no certificate
	Request                       // the port requests one; a client without a certificate connects, one with an untrusted certificate does not
	Require                       // a client without a trusted certificate does not connect
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

// Limits bound what a port spends on its clients. 0 in a field means its default.
type Limits struct {
	Handshake     time.Duration // from accept to the end of the handshake; 0 means 5 s
	Handshakes    int           // handshakes that compute at one time; 0 means 4 a processor
	Connections   int           // open connections, further ones wait in the kernel's queue; 0 means 10,000
	PerIP         int           // connections of one IPv4 address or one IPv6 /64, further ones are closed; 0 means 100
	HeaderBytes   int           // of one request; 0 means 65,536
	Headers       time.Duration // from the first byte of a request to the end of its headers, and for the rest of a body that a handler leaves; 0 means 10 s
	Idle          time.Duration // between requests, for a client to take the next 16 KiB of an answer (HTTP/2: to grant their window), and to send the next byte of a body; 0 means 2 min
	Request       time.Duration // for a whole request and its answer; 0 means no limit
	Streams       int           // HTTP/2 streams at one time on one connection; 0 means 100. Under Server at most 10 for clients of a Request port without a certificate
	ConnectionAge time.Duration // after which a connection's next answer is its last; 0 means 1 h, negative means never
	Drain         time.Duration // for requests under way when the server stops; 0 means 8 s
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
		wrong.Add(configerror.Error{What: fmt.Sprintf("Limits.HeaderBytes is %d", l.HeaderBytes), Hint: fmt.Sprintf("set %d or more", minHeaderBytes)})
	}
}

// Config is what New builds a Port from.
type Config struct {
	Name       string // the port's name in policies, mappings and logs
	Addr       string // host:port; port 0 takes any free one. systemd:NAME is a socket that systemd passes. With Listen, any text that Listen knows
	ClientAuth ClientAuth
	// Certificate returns the server's certificate. It is called in every full
	// handshake and must not block.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Trust verifies clients. It is required unless ClientAuth is None.
	Trust *trust.Verifier
	// Listen opens the listener of the port, such as a unix socket. It must return plain connections: the port itself does TLS. Accept and RemoteAddr
	// must not wait for a client, which would stop the port for all others. nil listens on Addr
	// with TCP.
	Listen func(ctx context.Context, addr string) (net.Listener, error)
	// MinVersion is tls.VersionTLS12 (also when 0) or tls.VersionTLS13.
	MinVersion uint16
	// TLS has further settings. CipherSuites, CurvePreferences, MinVersion, MaxVersion,
	// SessionTicketsDisabled and DynamicRecordSizingDisabled are honoured, and NextProtos are
	// offered after h2 and http/1.1. With acme-tls/1 among them the port answers the challenge
	// tls-alpn-01 (RFC 8737) with the certificate of Config.Certificate, without requesting one,
	// and closes the connection. Any other field that is set is an error, because it could replace
	// the verification of clients or has its own field here. New and Reconfigure copy it. nil means
	// none.
	TLS    *tls.Config
	Limits Limits
	// Addresses are the IP addresses from which the port accepts connections. A connection from
	// another one is closed before TLS, without an answer. Behind a gateway these are the
	// gateway's. Reconfigure also closes open connections from addresses that are no longer
	// accepted.
	Addresses Addresses
	// ProxyProtocolFrom are the addresses of proxies that send a header of the PROXY protocol,
	// version 1 or 2, before TLS. From them the header is required; it is then the caller's
	// address in Addresses, Limits.PerIP, RemoteAddr and logs. From all others it is refused.
	// Everything else in a header, such as a certificate, is ignored. A proxy's own
	// connections (LOCAL), and those whose caller it does not state (UNKNOWN), have the proxy's
	// address. Reconfigure closes open connections whose peer enters or leaves the list.
	ProxyProtocolFrom []netip.Prefix
	// HideAuthorities omits the names of the trust anchors from the certificate request
	// (RFC 8446 section 4.2.4), and sends the same alert for every refused certificate.
	// Clients that choose a certificate by these names may then send none.
	HideAuthorities bool
	// CancelRequests cancels the context of the requests under way on a connection whose
	// certificate is not trusted any more, so that a long handler can stop.
	CancelRequests bool
	// OnHandshake is called after every handshake, refused or not, on the connection's
	// own goroutine. It must not block.
	OnHandshake func(Handshake)

	// OnClosed is called when the port closes a connection because its certificate is not
	// trusted any more, or its address not accepted. It must not block.
	OnClosed func(Closed)
}

func (c *Config) check() error {
	var wrong errorlist.List
	fail := func(what, hint string) {
		wrong.Add(configerror.Error{What: fmt.Sprintf("port %q: %s", c.Name, what), Hint: hint})
	}
	if c.Name == "" || c.Name == "*" {
		fail("Name is empty or *", "set the name that policies, mappings and logs use")
	}
	if name, ok := strings.CutPrefix(c.Addr, systemd.Prefix); ok && c.Listen == nil && !systemd.IsName(name) {
		fail(fmt.Sprintf("Addr: %q is not the name of a socket", name), "for example systemd:internal, with FileDescriptorName=internal in the .socket unit")
	} else if _, _, err := net.SplitHostPort(c.Addr); err != nil && !ok && c.Listen == nil {
		fail(fmt.Sprintf("Addr: %q is not HOST:PORT", c.Addr), "for example 127.0.0.1:8443")
	}
	if c.ClientAuth < None || c.ClientAuth > Require {
		fail("ClientAuth is not set", "set None, Request or Require: there is no default")
	}
	if c.Certificate == nil {
		fail("Certificate is nil", "set a func(*tls.ClientHelloInfo) (*tls.Certificate, error)")
	}
	if c.ClientAuth > None && c.Trust == nil {
		// Fail closed: without anchors of its own, crypto/tls would trust the system's.
		fail("Trust is nil", "set a trust.Verifier with the trust anchors of your clients")
	}
	if c.Trust != nil && c.Trust.Usage() != trust.UsageClient {
		fail("Trust verifies certificates for "+c.Trust.Usage().String(), "callers of a port are clients: set trust.Config.Usage to UsageClient")
	}
	if c.MinVersion != 0 && c.MinVersion != tls.VersionTLS12 && c.MinVersion != tls.VersionTLS13 {
		fail(fmt.Sprintf("MinVersion: %#x is not supported", c.MinVersion), "set tls.VersionTLS12 or tls.VersionTLS13")
	}
	var settings errorlist.List
	checkTLS("TLS", c.TLS, &settings)
	for _, e := range configerror.All(settings.Err()) {
		fail(e.What, e.Hint)
	}
	if base := c.tlsBase(); base.MaxVersion != 0 && base.MaxVersion < base.MinVersion {
		fail(fmt.Sprintf("TLS.MaxVersion: %#x is below the lowest version, %#x", base.MaxVersion, base.MinVersion), "raise it, or lower MinVersion")
	}
	c.Limits.check(&wrong)
	var ranges errorlist.List
	checkRanges("Addresses.Allow", c.Addresses.Allow, &ranges)
	checkRanges("Addresses.Deny", c.Addresses.Deny, &ranges)
	checkRanges("ProxyProtocolFrom", c.ProxyProtocolFrom, &ranges)
	for _, e := range configerror.All(ranges.Err()) {
		fail(e.What, e.Hint)
	}
	return wrong.Err()
}
