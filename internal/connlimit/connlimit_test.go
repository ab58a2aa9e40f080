package connlimit

import (
	"net"
	"testing"
)

// Covers H4.
func TestAddressPrefixes(t *testing.T) {
	tcp := func(text string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, row := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"[::ffff:192.0.2.1]:1", "192.0.2.1:1", true}, // the form of a dual-stack listener
		{"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", false},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:1", true}, // one /64
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
		{"[fe80::1%1]:1", "[fe80::2%2]:1", true}, // a client cannot choose the zone
		{"[::1]:1", "127.0.0.1:1", false},
	} {
		a, b := AddrOf(tcp(row.a)), AddrOf(tcp(row.b))
		if (a == b) != row.same || !a.IsValid() || !b.IsValid() {
			t.Errorf("%s and %s are %v and %v", row.a, row.b, a, b)
		}
	}
	if AddrOf(&net.UnixAddr{Name: "x"}) != AddrOf(nil) {
		t.Error("addresses of other types do not count as one")
	}
}

// All addresses of one /64 share the limit of one, and no address is kept without a
// connection.
// Covers H4, H9.
func TestAddressesOfOneSubscriberAreOne(t *testing.T) {
	s := New(10_000, 3)
	at := func(i int) net.Addr {
		ip := net.ParseIP("2001:db8::")
		ip[14], ip[15] = byte(i>>8), byte(i)
		return &net.TCPAddr{IP: ip, Port: 1}
	}
	taken := 0
	for i := range 1000 {
		if s.TakeAddr(AddrOf(at(i))) {
			taken++
		}
	}
	if taken != 3 || len(s.byAddr) != 1 {
		t.Errorf("%d connections of one subscriber, %d addresses kept", taken, len(s.byAddr))
	}
	if !s.TakeAddr(AddrOf(&net.TCPAddr{IP: net.ParseIP("2001:db8:0:1::")})) {
		t.Error("another subscriber is refused")
	}
	s.GiveAddr(AddrOf(&net.TCPAddr{IP: net.ParseIP("2001:db8:0:1::")}))
	for range taken {
		s.GiveAddr(AddrOf(at(0)))
	}
	if len(s.byAddr) != 0 {
		t.Errorf("%d addresses are kept", len(s.byAddr))
	}
}
