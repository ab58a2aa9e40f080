package ports_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

func ranges(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// connectFrom connects from an address of the loopback network.
func connectFrom(t testing.TB, p *ports.Port, ip string) net.Conn {
	t.Helper()
	_, port, err := net.SplitHostPort(p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	host := "127.0.0.1"
	if strings.Contains(ip, ":") {
		host = "::1"
	}
	c, err := d.Dial("tcp", net.JoinHostPort(host, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A connection from an address that is not accepted ends before TLS, without a byte, and holds
// no place.
// Covers N1.
func TestAddressesAreCheckedBeforeTLS(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Require)
	c.Addr = ":0" // dual-stack: IPv4 addresses arrive as IPv6
	c.Addresses = ports.Addresses{Allow: ranges("127.0.0.0/8"), Deny: ranges("127.0.0.2/32", "127.0.1.0/24")}
	c.Limits.Connections = 2
	p := serving(t, c)
	for _, row := range []struct{ from, detail string }{
		{"127.0.0.1", ""},
		{"127.0.0.2", "127.0.0.2 is in 127.0.0.2/32 of addresses.deny"},
		{"127.0.1.7", "127.0.1.7 is in 127.0.1.0/24 of addresses.deny"},
		{"::1", "::1 is in no range of addresses.allow"},
		{"127.0.0.3", ""},
	} {
		raw := connectFrom(t, p, row.from)
		own, err := over(raw, clientConfig(alice))
		if row.detail == "" {
			if err != nil {
				t.Errorf("%s: the handshake: %v", row.from, err)
				continue
			}
			if body, _, err := own.get("/"); err != nil || body != "require alice HTTP/2.0" {
				t.Errorf("%s: got %q, %v; want the answer for alice", row.from, body, err)
			}
			own.Close()
			continue
		}
		if err == nil {
			t.Errorf("%s: connected", row.from)
		}
		raw.SetReadDeadline(time.Now().Add(patience))
		if n, err := raw.Read(make([]byte, 1)); n > 0 || err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: %d bytes, %v", row.from, n, err)
		}
		if h := e.of(t, raw.LocalAddr()); h.Reason != reason.Address || h.Err.Error() != "address: "+row.detail || h.Port != "require" {
			t.Errorf("%s: the event has %q, %v; want %q, %s", row.from, h.Reason, h.Err, reason.Address, row.detail)
		}
	}
	testkit.Eventually(t, "every place is free", func() bool { return p.ConnCount() == 0 })
}

// After Reconfigure a connection from an address that is not accepted any more ends within a
// second, whatever it does, and others stay.
// Covers N1.
func TestReconfigureClosesConnectionsOfDeniedAddresses(t *testing.T) {
	t.Parallel()
	shop := newWorkshop()
	c, e := config(t, ports.Request)
	var closed atomic.Int32
	c.OnClosed = func(event ports.Closed) {
		if event.Reason == reason.Address && strings.HasPrefix(event.Remote.String(), "127.0.0.2:") && event.Err != nil {
			closed.Add(1)
		}
	}
	c.Limits.Drain = time.Second
	p := newPort(t, c)
	serve(t, shop, p)
	from := func(ip string, o tlsOption) *caller {
		own, err := over(connectFrom(t, p, ip), clientConfig(nil, o))
		if err != nil {
			t.Fatal(err)
		}
		return own
	}
	idle, busy, hijacked, other := from("127.0.0.2", h1), from("127.0.0.2", h2only), from("127.0.0.2", h1), from("127.0.0.1", h2only)
	for _, own := range []*caller{idle, other} {
		if _, _, err := own.get("/"); err != nil {
			t.Fatal(err)
		}
	}
	go busy.get("/busy")
	<-shop.started
	io.WriteString(hijacked, "GET /hijack HTTP/1.1\r\nHost: localhost\r\n\r\n")
	hijacked.SetReadDeadline(time.Now().Add(patience))
	if line, err := bufio.NewReader(io.LimitReader(hijacked, 36)).ReadString('\n'); err != nil || !strings.Contains(line, "101") {
		t.Fatalf("the upgrade was answered %q, %v; want 101", line, err)
	}
	<-shop.started
	hijacked.reading()
	c.Addresses.Deny = ranges("127.0.0.2/32")
	start := time.Now()
	reconfigure(t, p, c)
	for name, own := range map[string]*caller{"idle": idle, "busy": busy, "hijacked": hijacked} {
		if own.ends(t); time.Since(start) > 10*soon { // on a busy machine
			t.Errorf("%s: closed after %v", name, time.Since(start))
		}
	}
	testkit.Eventually(t, "three connections are reported", func() bool { return closed.Load() == 3 })
	if body, _, err := other.get("/"); err != nil {
		t.Errorf("the other address: %q, %v", body, err)
	}
	if e.count(reason.Address) != 0 {
		t.Error("a connection that ends is reported as a handshake")
	}
}

// A handshake that began before Reconfigure ends by the new list.
// Covers N1.
func TestAddressDeniedDuringTheHandshake(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Require)
	p := serving(t, c)
	raw := connect(t, p)
	testkit.Eventually(t, "the client is connected", func() bool { return p.ConnCount() == 1 })
	c.Addresses.Allow = ranges("10.0.0.0/8")
	reconfigure(t, p, c)
	if own, err := over(raw, clientConfig(alice)); err == nil {
		if body, _, err := own.get("/"); err == nil {
			t.Errorf("served: %q", body)
		}
	}
	if h := e.of(t, raw.LocalAddr()); h.Reason != reason.Address {
		t.Errorf("the event has %q, %v; want %q", h.Reason, h.Err, reason.Address)
	}
}

// A connection without an IP address is in no range.
func TestUnixSocketIsInNoRange(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Require)
	c.Addr = t.TempDir() + "/socket"
	c.Listen = func(ctx context.Context, addr string) (net.Listener, error) {
		var lc net.ListenConfig
		return lc.Listen(ctx, "unix", addr)
	}
	c.Addresses.Deny = ranges("10.0.0.0/8")
	p := serving(t, c)
	raw, err := net.Dial("unix", c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := over(raw, clientConfig(alice)); err == nil {
		t.Error("connected")
	}
	testkit.Eventually(t, "the refusal is reported", func() bool { return e.count(reason.Address) == 1 })
	c.Addresses = ports.Addresses{}
	reconfigure(t, p, c)
	raw, err = net.Dial("unix", c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := over(raw, clientConfig(alice)); err != nil {
		t.Errorf("without addresses: %v", err)
	}
}

func TestRangesThatContainNothingAreErrors(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.None)
	c.Addresses = ports.Addresses{
		Allow: append(ranges("10.1.0.0/8", "::ffff:10.0.0.0/104"), netip.Prefix{}),
		Deny:  ranges("::1/64"),
	}
	_, err := ports.New(c)
	for _, want := range []string{
		"Addresses.Allow[0]: 10.1.0.0/8 has bits beyond its length", "write 10.0.0.0/8, or one address as 10.1.0.0/32",
		"Addresses.Allow[1]: ::ffff:10.0.0.0/104 contains no address", "Addresses.Allow[2] is not a range",
		"Addresses.Deny[0]: ::1/64 has bits beyond its length",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if n := len(configerror.All(err)); n != 4 {
		t.Errorf("%d errors", n)
	}
}
