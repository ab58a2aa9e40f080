package forwarded_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
)

func clientIP(header string, hops int) func(*forwarded.Config) {
	return func(c *forwarded.Config) { c.ClientIP = forwarded.ClientIP{Header: header, Hops: hops} }
}

// The address is counted from the end of the header, where the gateway adds it, and never
// guessed.
// Covers N7.
func TestClientIPIsCountedFromTheEnd(t *testing.T) {
	for _, row := range []struct {
		lines []string
		hops  int
		want  string // "" is none
	}{
		{[]string{"192.0.2.1"}, 1, "192.0.2.1"},
		{[]string{"192.0.2.1"}, 0, "192.0.2.1"},
		{[]string{"10.9.9.9, 192.0.2.1"}, 1, "192.0.2.1"},
		{[]string{"10.9.9.9, 192.0.2.1"}, 2, "10.9.9.9"},
		{[]string{"10.9.9.9, 192.0.2.1"}, 3, ""},
		{[]string{"10.9.9.9", "192.0.2.1"}, 1, "192.0.2.1"}, // two lines are one list (RFC 9110 section 5.3)
		{[]string{"10.9.9.9", "192.0.2.1"}, 2, "10.9.9.9"},
		{[]string{"10.9.9.9 ,\t192.0.2.1 ", "198.51.100.1"}, 2, "192.0.2.1"},
		{[]string{"10.9.9.9,,"}, 1, ""}, // an entry that is empty is an entry
		{[]string{"10.9.9.9,,"}, 3, "10.9.9.9"},
		{[]string{"2001:db8::1"}, 1, "2001:db8::1"},
		{[]string{"[2001:db8::1]"}, 1, "2001:db8::1"},
		{[]string{"[2001:db8::1]:4711"}, 1, "2001:db8::1"},
		{[]string{"192.0.2.1:4711"}, 1, "192.0.2.1"},
		{[]string{"::ffff:192.0.2.1"}, 1, "192.0.2.1"},
		{[]string{"[::ffff:192.0.2.1]:1"}, 1, "192.0.2.1"},
		{[]string{"fe80::1%eth0"}, 1, ""},
		{[]string{"[fe80::1%eth0]:1"}, 1, ""},
		{[]string{"[192.0.2.1]"}, 1, ""},
		{[]string{"[192.0.2.1]:1"}, 1, ""},
		{[]string{"192.0.2.1:"}, 1, ""},
		{[]string{"192.0.2.1:65536"}, 1, ""},
		{[]string{"[2001:db8::1"}, 1, ""},
		{[]string{"192.0.2.01"}, 1, ""},
		{[]string{"unknown"}, 1, ""},
		{[]string{"localhost:1"}, 1, ""},
		{[]string{`"192.0.2.1"`}, 1, ""},
		{[]string{"for=192.0.2.1"}, 1, ""},
		{[]string{"192.0.2.1 192.0.2.2"}, 1, ""},
		{[]string{strings.Repeat("0", 100) + "::1"}, 1, ""},
		{[]string{""}, 1, ""},
		{nil, 1, ""},
	} {
		r := receiver(t, forwarded.Nginx("X-SSL-Client-Cert", ""), clientIP("x-forwarded-for", row.hops))
		h := http.Header{"X-Forwarded-For": row.lines, "X_forwarded_for": {"203.0.113.1"}}
		got, configured := r.ClientIP(h)
		if !configured || got.IsValid() != (row.want != "") || got.IsValid() && got != netip.MustParseAddr(row.want) {
			t.Errorf("%q, %d: got %v, want %q", row.lines, row.hops, got, row.want)
		}
		if n := testing.AllocsPerRun(10, func() { r.ClientIP(h) }); n > 0 && got.IsValid() {
			t.Errorf("%q: %v allocations", row.lines, n)
		}
	}
	h := http.Header{"X-Forwarded-For": {"192.0.2.1"}}
	if got, configured := receiver(t, forwarded.Nginx("X-SSL-Client-Cert", "")).ClientIP(h); configured || got.IsValid() {
		t.Errorf("%v is read without a configured header", got)
	}
}

func TestClientIPOfTheWrongHeaderIsAnError(t *testing.T) {
	t.Parallel()
	f := shared()
	for _, row := range []struct {
		header string
		hops   int
		want   string
	}{
		{"", 1, "hops has no effect without client_ip"},
		{"Forwarded", 1, "the syntax of the header Forwarded (RFC 7239) is not read"},
		{"Cookie", 1, "the header Cookie has another meaning"},
		{"X_Forwarded_For", 1, `"X_Forwarded_For" is not a header name`},
		{"X-SSL-Client-Cert", 1, "the header X-Ssl-Client-Cert holds the certificate"},
		{"X-Forwarded-For", -1, "hops: -1 is not a number from 1 to 100"},
		{"X-Forwarded-For", 101, "hops: 101 is not"},
	} {
		_, err := forwarded.New(forwarded.Config{
			Topology: forwarded.Nginx("X-SSL-Client-Cert", ""), Users: f.users, Gateways: forwarded.Gateways{Names: []string{gatewayDNS}, Trust: f.gateways},
			ClientIP: forwarded.ClientIP{Header: row.header, Hops: row.hops},
		})
		if all := configerror.All(err); len(all) != 1 || !strings.Contains(all[0].What, row.want) || all[0].Hint == "" {
			t.Errorf("%q, %d: got %v, want %q with a hint", row.header, row.hops, err, row.want)
		}
	}
	for _, header := range []string{"X-Forwarded-For", "x-real-ip", "CF-Connecting-IP", "X-Envoy-External-Address"} {
		receiver(t, forwarded.Nginx("X-SSL-Client-Cert", ""), clientIP(header, 0))
	}
}

// For any header the result is a plain address or none, and what stands to the left of the place
// does not count.
func FuzzClientIP(f *testing.F) {
	for _, seed := range []string{"192.0.2.1", "10.9.9.9, [2001:db8::1]:1", "a,,b", "fe80::1%x", "::ffff:1.2.3.4"} {
		f.Add(seed, "10.9.9.9", 1)
	}
	r := map[int]*forwarded.Receiver{}
	for hops := range 4 {
		r[hops] = receiver(f, forwarded.Nginx("X-SSL-Client-Cert", ""), clientIP("X-Forwarded-For", hops))
	}
	f.Fuzz(func(t *testing.T, line, left string, hops int) {
		hops = max(0, hops%4)
		got, _ := r[hops].ClientIP(http.Header{"X-Forwarded-For": {line}})
		if got.IsValid() && (got.Zone() != "" || got.Is4In6()) {
			t.Fatalf("%q: got %v, which has a zone or is mapped", line, got)
		}
		if strings.Count(line, ",")+1 < max(1, hops) {
			return
		}
		if again, _ := r[hops].ClientIP(http.Header{"X-Forwarded-For": {left, line}}); again != got {
			t.Fatalf("%q after %q: %v, and %v alone", line, left, again, got)
		}
	})
}
