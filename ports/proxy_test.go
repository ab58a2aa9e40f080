package ports_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// header2 returns a PROXY header of version 2 for TCP over IPv4, with TLVs after the addresses.
func header2(from, tlvs string) string {
	a := netip.MustParseAddrPort(from)
	block := string(a.Addr().AsSlice()) + "\xc6\x33\x64\x02" + string([]byte{byte(a.Port() >> 8), byte(a.Port())}) + "\x01\xbb" + tlvs
	return "\r\n\r\n\x00\r\nQUIT\n\x21\x11" + string([]byte{byte(len(block) >> 8), byte(len(block))}) + block
}

const localHeader = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" // of a health check

func header1(from string) string {
	a := netip.MustParseAddrPort(from)
	return fmt.Sprintf("PROXY TCP4 %s 198.51.100.2 %d 443\r\n", a.Addr(), a.Port())
}

// behindProxy returns a configuration whose proxies are 127.0.0.1.
func behindProxy(t testing.TB) (ports.Config, *events) {
	t.Helper()
	c, e := config(t, ports.Require)
	c.ProxyProtocolFrom = ranges("127.0.0.1/32")
	return c, e
}

// coalesced sends a header together with the first bytes of TLS.
type coalesced struct {
	net.Conn
	header string
}

func (c *coalesced) Write(b []byte) (int, error) {
	header := c.header
	c.header = ""
	n, err := c.Conn.Write(append([]byte(header), b...))
	return n - len(header), err
}

// through makes a handshake after a header, from the address of a proxy.
func through(t testing.TB, p *ports.Port, header string, o ...tlsOption) (*caller, error) {
	t.Helper()
	return over(&coalesced{connect(t, p), header}, clientConfig(alice, o...))
}

// The address in the header is the caller's everywhere, and the peer's is reported beside it. The
// certificate in a TLV is ignored.
// Covers N2, N3.
func TestCallerBehindAProxyHasTheAddressOfTheHeader(t *testing.T) {
	t.Parallel()
	c, e := behindProxy(t)
	p := newPort(t, c)
	serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own, _ := ports.FromContext(r.Context())
		fmt.Fprintf(w, "%s %v %s", r.RemoteAddr, own.Proxy(), nameOf(own.Verified(r.Context())))
	}), p)
	const certificateOfBob = "\x20\x00\x0b\x07\x00\x00\x00\x00\x22\x00\x03bob"
	for _, header := range []string{header1("192.0.2.1:4711"), header2("192.0.2.1:4711", ""), header2("192.0.2.1:4711", certificateOfBob)} {
		for name, o := range protocols {
			own, err := through(t, p, header, o)
			if err != nil {
				t.Fatal(err)
			}
			body, _, err := own.get("/")
			if want := "192.0.2.1:4711 " + own.local.String() + " alice"; err != nil || body != want {
				t.Errorf("%s: %q, %v; want %q", name, body, err, want)
			}
			h, ok := e.find(func(h ports.Handshake) bool { return h.Proxy != nil && h.Proxy.String() == own.local.String() })
			if !ok || h.Remote.String() != "192.0.2.1:4711" || h.Err != nil {
				t.Errorf("event %+v", h)
			}
			own.Close()
		}
	}
	raw := connect(t, p)
	for _, b := range []byte(header2("192.0.2.9:1", certificateOfBob)) { // however it arrives
		if _, err := raw.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	own, err := over(raw, clientConfig(alice))
	if err != nil {
		t.Fatal(err)
	}
	if body, _, err := own.get("/"); err != nil || !strings.HasPrefix(body, "192.0.2.9:1 ") {
		t.Errorf("got %q, %v; want the address 192.0.2.9:1", body, err)
	}
}

// From the address of a proxy nothing but a header begins a connection, and from any other
// address nothing but TLS.
// Covers N2.
func TestProxyHeaderIsRequiredOrForbidden(t *testing.T) {
	t.Parallel()
	quick := func(c *ports.Config) { c.Limits.Handshake = 300 * time.Millisecond }
	for _, row := range []struct {
		name, from, header string
		change             func(*ports.Config)
		want               reason.Reason
		detail             string
	}{
		{"no header", "127.0.0.1", "", nil, reason.BadHeader, "bad-header: the connection begins with TLS, without a PROXY header, which 127.0.0.1:"},
		{"not a header", "127.0.0.1", "GET / HTTP/1.1\r\n\r\n", nil, reason.BadHeader, "bad-header: the connection does not begin with a PROXY header"},
		{"malformed", "127.0.0.1", "PROXY TCP4 192.0.2.1 198.51.100.2 0x1 443\r\n", nil, reason.BadHeader, "a port that is not a number"},
		{"half a header", "127.0.0.1", header2("192.0.2.1:1", "")[:20], quick, reason.Timeout, "reading the PROXY header: "},
		{"version 1 from elsewhere", "127.0.0.2", header1("192.0.2.1:1"), nil, reason.UntrustedGateway, "untrusted-gateway: a PROXY header from 127.0.0.2:"},
		{"version 2 from elsewhere", "127.0.0.2", header2("192.0.2.1:1", ""), nil, reason.UntrustedGateway, "which is not in proxy_protocol.from"},
		{"a port without proxies", "127.0.0.1", header2("192.0.2.1:1", ""), func(c *ports.Config) { c.ProxyProtocolFrom = nil }, reason.UntrustedGateway, "untrusted-gateway: a PROXY header from 127.0.0.1:"},
		{"a second header", "127.0.0.1", header1("192.0.2.1:1") + header1("192.0.2.1:1"), nil, reason.UntrustedGateway, "untrusted-gateway: a PROXY header from 127.0.0.1:"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, e := behindProxy(t)
			if row.change != nil {
				row.change(&c)
			}
			p := serving(t, c)
			raw := connectFrom(t, p, row.from)
			if row.want == reason.Timeout {
				io.WriteString(raw, row.header)
			} else if own, err := over(&coalesced{raw, row.header}, clientConfig(alice)); err == nil {
				if body, _, err := own.get("/"); err == nil {
					t.Fatalf("served: %q", body)
				}
			}
			testkit.Eventually(t, "the refusal is reported", func() bool { return e.count(row.want) == 1 })
			if h, _ := e.find(func(h ports.Handshake) bool { return h.Reason == row.want }); !strings.Contains(h.Err.Error(), row.detail) || strings.Contains(h.Err.Error(), "0x1") {
				t.Errorf("the event has %v, want %q without a byte of the connection", h.Err, row.detail)
			}
			testkit.Eventually(t, "the place is free", func() bool { return p.ConnCount() == 0 })
		})
	}
	c, _ := behindProxy(t)
	p := serving(t, c)
	own, err := over(connectFrom(t, p, "127.0.0.2"), clientConfig(alice))
	if err != nil {
		t.Fatal(err)
	}
	if body, _, err := own.get("/"); err != nil || body != "require alice HTTP/2.0" {
		t.Errorf("TLS from elsewhere: %q, %v", body, err)
	}
}

// Connections of a proxy that send nothing, or half a header, delay no other client: neither the accept
// loop nor another handshake waits for them.
// Covers N4.
func TestSilentConnectionsOfAProxyDelayNoOther(t *testing.T) {
	t.Parallel()
	c, e := behindProxy(t)
	c.Limits.Handshake = time.Minute
	c.Limits.Handshakes = 1
	c.Limits.PerIP = 2
	p := serving(t, c)
	for i := range 50 {
		silent(t, p, header1("192.0.2.1:1")[:i%3])
	}
	testkit.Eventually(t, "the silent connections are there", func() bool { return p.ConnCount() == 50 })
	start := time.Now()
	own, err := through(t, p, header1("192.0.2.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	if body, _, err := own.get("/"); err != nil || body != "require alice HTTP/2.0" {
		t.Errorf("got %q, %v; want the answer for alice", body, err)
	}
	if d := time.Since(start); d > 20*time.Second || p.ConnCount() != 51 {
		t.Errorf("it took %v, with %d connections", d, p.ConnCount())
	}
	if n := e.count(reason.Limit); n != 0 {
		t.Errorf("%d connections are counted before their header", n)
	}
}

// connections_per_ip counts the addresses in headers, and addresses applies to them. A proxy's own
// connection has the proxy's address. Whatever the end, all counts are given back.
// Covers N2, N4.
func TestAddressOfTheHeaderIsCountedAndChecked(t *testing.T) {
	t.Parallel()
	c, e := behindProxy(t)
	c.Limits.PerIP = 2
	c.Addresses.Deny = ranges("192.0.2.66/32")
	p := serving(t, c)
	open := func(header string) *caller {
		own, err := through(t, p, header)
		if err != nil {
			t.Fatalf("%q: the handshake: %v", header, err)
		}
		return own
	}
	all := []*caller{open(header1("192.0.2.1:1")), open(header2("192.0.2.1:2", "")), open(header1("192.0.2.2:1")), open(localHeader), open("PROXY UNKNOWN\r\n")}
	for header, want := range map[string]reason.Reason{
		header1("192.0.2.1:3"): reason.Limit, localHeader: reason.Limit, header2("192.0.2.66:1", ""): reason.Address,
	} {
		before := e.count(want)
		if _, err := through(t, p, header); err == nil {
			t.Errorf("%q: connected", header)
		}
		testkit.Eventually(t, "the refusal is reported", func() bool { return e.count(want) == before+1 })
	}
	if h, _ := e.find(func(h ports.Handshake) bool { return h.Reason == reason.Address }); h.Remote.String() != "192.0.2.66:1" || h.Proxy == nil {
		t.Errorf("event %+v", h)
	}
	for _, own := range all {
		own.Close()
	}
	testkit.Eventually(t, "every place is free", func() bool { return p.ConnCount() == 0 })
	for range 2 {
		open(header1("192.0.2.1:1"))
		open(localHeader)
	}
}

// A change of the list closes the connections whose address was found in another way.
// Covers N2.
func TestReconfigureClosesConnectionsOfFormerProxies(t *testing.T) {
	t.Parallel()
	c, _ := behindProxy(t)
	closed := make(chan ports.Closed, 10)
	c.OnClosed = func(event ports.Closed) { closed <- event }
	p := serving(t, c)
	proxied, err := through(t, p, header1("192.0.2.1:4711"))
	if err != nil {
		t.Fatal(err)
	}
	direct, err := over(connectFrom(t, p, "127.0.0.2"), clientConfig(alice))
	if err != nil {
		t.Fatal(err)
	}
	stays, err := over(connectFrom(t, p, "127.0.0.3"), clientConfig(alice))
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []*caller{proxied, direct, stays} {
		if _, _, err := own.get("/"); err != nil {
			t.Fatal(err)
		}
	}
	c.ProxyProtocolFrom = ranges("127.0.0.2/32")
	start := time.Now()
	reconfigure(t, p, c)
	proxied.ends(t)
	direct.ends(t)
	if d := time.Since(start); d > 10*soon { // on a busy machine
		t.Errorf("closed after %v", d)
	}
	for range 2 {
		if event := <-closed; event.Reason != reason.Address || event.Proxy != nil && event.Remote.String() != "192.0.2.1:4711" {
			t.Errorf("closed: %+v, want %s, and behind the proxy 192.0.2.1:4711", event, reason.Address)
		}
	}
	if _, _, err := stays.get("/"); err != nil {
		t.Errorf("another connection: %v", err)
	}
}

// A listener that closes ends the wait for headers, and the counts are given back.
// Covers N4.
func TestCloseEndsTheWaitForAHeader(t *testing.T) {
	t.Parallel()
	c, _ := behindProxy(t)
	c.Limits.Handshake = time.Minute
	p := newPort(t, c)
	l, err := p.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waiting := silent(t, p, "PROXY ")
	testkit.Eventually(t, "the connection is there", func() bool { return p.ConnCount() == 1 })
	l.Close()
	waiting.SetReadDeadline(time.Now().Add(patience))
	if _, err := waiting.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v, want the end of the connection", err)
	}
	testkit.Eventually(t, "the place is free", func() bool { return p.ConnCount() == 0 })
}
